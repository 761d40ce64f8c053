"""Figures of one subject, drawn and saved."""

from collections.abc import Iterable
from pathlib import Path

from matplotlib.figure import Figure

from ...cache.files import writing
from ...cache.run_note import OUT
from ...commands.figures import KINDS
from ...lazy import load
from ...manifests.disk import free_name
from ...reports.confusion import MOST_DRAWN, literal_text, save_figure
from ...reports.console import say
from .subject import Named, Subject

FORMATS = ("png", "pdf")


@literal_text
def draw(subject: Subject, kinds: Iterable[str], made: Path, taken: set[str]) -> list[str]:
    """Draw some kinds of figures into a folder, under names that are not `taken` yet; returns those of the files."""
    files: list[str] = []
    for kind in kinds:
        for name, figure in _drawn(kind, subject):
            if isinstance(figure, str):
                say(f"note: {name} is not drawn: {figure}")
            else:
                with writing(subject.request.out, OUT):
                    files += _save(figure, made, free_name(name, taken))
    return files


def _drawn(kind: str, subject: Subject) -> Named:
    classes = len(subject.manifest.classes)
    if classes > MOST_DRAWN:
        yield f"{kind}-{subject.name}", f"it would show {classes:,} classes, and up to {MOST_DRAWN} can be shown"
    else:
        yield from load(KINDS[kind])(subject)


def _save(figure: Figure, made: Path, name: str) -> list[str]:
    files = [f"{name}.{suffix}" for suffix in FORMATS]
    for file in files:
        save_figure(figure, made / file, dpi=130)
        figure.set_layout_engine("none")  # what was found for one format is right for the next
    return files
