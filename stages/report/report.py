"""One page of evaluations."""

from datetime import UTC, datetime
from pathlib import Path

from ...cache.cache import Cache
from ...cache.files import new_file
from ...cache.run_note import OUT
from ...commands.report import Page, Report
from ...errors import UsageError
from ...manifests.disk import distinct_names, kind_of
from ...reports.console import say
from ...reports.page.page import Content, render
from ...reports.read_scores import Written, read_scores
from ...reports.results import prediction_files, unreadable
from ...settings import cache_folder, read_settings
from .browsed import Browsed, Predicted, predicted
from .place import refuse_page
from .provenance import described_runs, described_stores, notices
from .sample_grid import sample_grid
from .score_grid import score_grid
from .sections import section
from .shown import Group, groups


def report(request: Report) -> Page:
    """Write the page of some folders of results; all of it is read before anything is written.

    Raises UsageError where a folder holds no results, or damaged ones, or where `out` is something else than a page.
    """
    refuse_page(request.out)
    written = {folder: read_scores(folder) for folder in _distinct(request.results)}
    names = distinct_names(folder.resolve().name or str(folder) for folder in written)
    evaluations = dict(zip(names, written.values(), strict=True))
    shown = {name: groups(name if len(names) > 1 else "", one.scores) for name, one in evaluations.items()}
    found = [part for name, one in evaluations.items() for part in _predicted(one, shown[name])]
    browsed = [one.browsed for one in found if one.browsed]
    cache = Cache(cache_folder(request.cache, read_settings()))
    features = [known for one in evaluations.values() for known in one.features]
    samples = sample_grid(written.values(), browsed, cache, request.pictures)
    content = Content(
        title=_title(names),
        made=datetime.now(UTC).strftime("%d %B %Y, %H:%M UTC"),
        evaluations=described_runs(evaluations),
        notices=notices(evaluations),
        scores=score_grid(evaluations),
        sections=_sections([group for some in shown.values() for group in some], found),
        samples=samples.grid,
        samples_note=samples.notes,
        features=described_stores(features),
    )
    size = _write(request.out, render(content))
    n_scores = sum(len(one.scores) for one in written.values())
    return Page(request.out, size, len(names), n_scores, _count(browsed), samples.pictures)


def _distinct(results: tuple[str, ...]) -> list[Path]:
    """The folders, each once."""
    found: dict[Path, Path] = {}
    for folder in map(Path, results):
        if kind_of(folder) != "folder":
            what = "there is no such folder" if kind_of(folder) == "missing" else "this is no folder"
            raise UsageError(f"{folder}: {what}: give one that `expclip evaluate` wrote")
        if folder.resolve() in found:
            say(f"note: {folder}: these results are given twice, and shown once")
        found.setdefault(folder.resolve(), folder)
    return list(found.values())


def _predicted(written: Written, shown: list[Group]) -> list[Predicted]:
    """What the predictions of an evaluation say, for each of its data sets."""
    import pyarrow as pa

    try:
        return [predicted(path, shown) for path in prediction_files(written.folder)]
    except (OSError, ValueError, LookupError, NotImplementedError, AttributeError, pa.ArrowException) as error:
        raise unreadable(written.folder, error) from error


def _sections(shown: list[Group], found: list[Predicted]) -> list:
    reliabilities = {key: one for part in found for key, one in part.reliabilities.items()}
    return [section(group, reliabilities) for group in shown]


def _title(names: list[str]) -> str:
    return f"Evaluation {names[0]}" if len(names) == 1 else f"{len(names)} evaluations"


def _count(browsed: list[Browsed]) -> int:
    return sum(len(one.ids) for one in browsed)


def _write(out: Path, text: str) -> int:
    with new_file(out, OUT) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
        return temporary.stat().st_size
