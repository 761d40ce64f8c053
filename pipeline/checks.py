"""What is cheap to check of a request, before anything is read, decoded or loaded."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ..commands.request import Request
from ..commands.unused import note_unused
from ..encoders.dtypes import is_several
from ..errors import UsageError, option
from ..manifests.catalogue import catalogue
from ..manifests.disk import kind_of
from ..manifests.prompts import instruction_name
from .needs import canonical_model
from .rereading import known_manifest
from .workspace import Workspace

_MEANINGS = {
    "clip": partial(canonical_model, "clip_image"),
    "teacher": partial(canonical_model, "llm"),
    "instruction": instruction_name,
}
"""What a value of an option is called in the cache. Each raises UsageError for one that cannot be meant."""


def refuse_unknown_models(request: Request, *used: str) -> None:
    """Raise UsageError for a model or an instruction that cannot be meant, of the options `used` and those given."""
    for name, meaning in _MEANINGS.items():
        if name in used or name in request.typed:
            asked = getattr(request, name)
            for one in [asked] if isinstance(asked, str) else asked or ():
                meaning(one)


def refuse_several_gpus(request: Request) -> None:
    """Raise UsageError for several GPUs where one is used. Where only expclip.toml has them, it is the first."""
    device = getattr(request, "device", None)
    if "device" in request.typed and is_several(device):
        raise UsageError(
            f"{option('device')} {device}: {request.verb} uses one device, extract and evaluate use several: "
            f"give one, for example cuda:0"
        )


def refuse_unknown_datasets(workspace: Workspace, request: Request, datasets: Sequence[str]) -> None:
    """Raise UsageError for a data set that cannot be meant; say so of the root of one that is not asked for."""
    roots = {workspace.dataset(dataset).ref.root_name for dataset in datasets}
    for said in getattr(request, "root", ()):
        name, equals, _ = said.partition("=")
        if equals and name in catalogue() and name not in roots:
            note_unused(request, "root", f"{name} is not among the data sets of this command", said)


def may_have_clips(workspace: Workspace, dataset: str) -> bool:
    """Whether a data set has clips as far as that is known without reading it."""
    ref = workspace.dataset(dataset).ref
    if ref.entry is not None:
        return ref.entry.kind == "clips"
    manifest = known_manifest(workspace, dataset)
    return manifest is None or manifest.kind == "clips"


def refuse_folder(out: Path | None) -> None:
    """Raise UsageError where the folder `out` can neither be written into nor made; None is none."""
    if out is not None:
        _refuse(f"{option('out')} {out}", out.absolute(), "folder")


def refuse_file(file: Path) -> None:
    """Raise UsageError where a file can be neither written nor made."""
    _refuse(f"{file}", file.absolute(), "file")


def _refuse(named: str, path: Path, wanted: str) -> None:
    found = kind_of(path)
    if found not in (wanted, "missing"):
        raise UsageError(f"{named}: this is a {'file' if wanted == 'folder' else 'folder'}; a {wanted} is needed")
    folder = path if wanted == "folder" else path.parent
    nearest = next(one for one in (folder, *folder.parents) if kind_of(one) != "missing")
    if kind_of(nearest) != "folder":
        raise UsageError(f"{named}: {nearest} is a file, and nothing can lie below it: choose another place")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise UsageError(
            f"{named}: writing into {nearest} is not permitted: change its permissions, or choose another"
        )
