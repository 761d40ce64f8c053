"""The rows of other systems that a cache can score: under which models, and where their weights come from."""

from collections.abc import Sequence
from pathlib import Path

from ...commands.reproduce import Reproduce, Step
from ...commands.weights import ConvertWeights
from ...encoders.families import FAMILIES, family_of
from ...encoders.names import FLAVA, WITHOUT_HUB, is_flava
from ...errors import UsageError, option
from ...manifests.paper import RowOfPaper, paper_table, rows_of
from ...pipeline.rereading import known_manifest
from ...pipeline.workspace import Workspace


def asked_rows(workspace: Workspace, request: Reproduce, name: str) -> list[RowOfPaper]:
    """The rows of a table: for backbones that are asked for each under its own system, else for all of the table.

    A system whose weights may have any name is scored under every model of it that the cache has.
    """
    systems = {_system(one.backbone): method for method, one in paper_table(name).others.items() if one.backbone}
    models = request.clip or tuple(_in_cache(workspace, request.test))
    others: dict[str, list[str]] = {method: [] for method in systems.values()} if request.clip else {}
    for model in models:
        if _system(model) in systems:
            others.setdefault(systems[_system(model)], []).append(model)
    backbones = [model for model in request.clip if _system(model) not in systems] if request.clip else None
    return rows_of(name, backbones, others)


def _system(model: str) -> str:
    """The word for a model's system; of a CLIP that is one's own, its architecture."""
    return FLAVA if is_flava(model) else model.partition("@")[0].lower()


def _in_cache(workspace: Workspace, datasets: Sequence[str]) -> dict[str, None]:
    """The trained models that the cache has features of some data sets by."""
    found: dict[str, None] = {}
    for dataset in datasets:
        try:
            manifest = known_manifest(workspace, dataset)
        except UsageError:  # which is said where it is scored
            continue
        for stores in workspace.cache.of_manifest(manifest, "clip_image") if manifest else ():
            found |= {one.header.model: None for one in stores if not one.header.untrained}
    return found


def conversion(row: RowOfPaper) -> Step | None:
    """The command that makes a row's file of weights, which is on no hub; None where it is here, or is none."""
    file = _lacking(row)
    return Step(_command(row, file), "files", 0, 1) if file is not None else None


def how_to_get(row: RowOfPaper) -> str:
    """Where the weights of a row come from that are on no hub and are not here; empty where none are lacking."""
    file = _lacking(row)
    if file is None:
        return ""
    system = _system(row.backbone)
    return (
        f"its weights {file} are not here: download its .pth file from {_by_hand(system)[1]} and run "
        f"`{_command(row, file)}`, or name the file that you have, as {option('clip')} {system}@FILE"
    )


def _by_hand(system: str) -> tuple[str, str]:
    """What `weights convert` calls a system whose weights are on no hub, and where they are; empty for others."""
    if system in WITHOUT_HUB:
        return WITHOUT_HUB[system].name, WITHOUT_HUB[system].address
    return (system, FAMILIES[system].address) if system in FAMILIES else ("", "")


def _command(row: RowOfPaper, file: Path) -> str:
    system, _ = _by_hand(_system(row.backbone))
    return ConvertWeights(system=system, file=file.with_suffix(".pth")).command()


def _lacking(row: RowOfPaper) -> Path | None:
    """The file of a row's weights, where it is on no hub and not here."""
    _, address = _by_hand(_system(row.backbone))
    if not address:
        return None
    name = family_of("clip", row.backbone).name(row.backbone)
    file = Path(name.source).expanduser()
    return file if name.is_path and not file.exists() else None
