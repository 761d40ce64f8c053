"""Figures of one subject, drawn and saved."""

from collections.abc import Iterable
from pathlib import Path

from matplotlib.figure import Figure

from ...cache.files import writing
from ...commands.figures import KINDS
from ...lazy import load
from ...manifests.disk import free_name
from ...manifests.own_output import mark_output
from ...reports.confusion import MOST_DRAWN, literal_text
from ...reports.console import say
from .subject import Named, Subject

FORMATS = ("png", "pdf")


@literal_text
def draw(subject: Subject, kinds: Iterable[str], taken: set[str]) -> list[Path]:
    """Draw some kinds of figures, under names that are not `taken` yet; returns the files."""
    out = subject.request.out
    paths: list[Path] = []
    for kind in kinds:
        for name, figure in _drawn(kind, subject):
            if isinstance(figure, str):
                say(f"note: {name} is not drawn: {figure}")
            else:
                paths += _save(figure, out, free_name(name, taken))
    return paths


def _drawn(kind: str, subject: Subject) -> Named:
    classes = len(subject.manifest.classes)
    if classes > MOST_DRAWN:
        yield f"{kind}-{subject.name}", f"it would show {classes:,} classes, and up to {MOST_DRAWN} can be shown"
    else:
        yield from load(KINDS[kind])(subject)


def _save(figure: Figure, out: Path, name: str) -> list[Path]:
    paths = [out / f"{name}.{suffix}" for suffix in FORMATS]
    with writing(out):
        mark_output(out, "figures")
        for path in paths:
            figure.savefig(path, dpi=130)
            figure.set_layout_engine("none")  # what was found for one format is right for the next
    return paths
