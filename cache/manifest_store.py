"""Manifests as arrays and as zarr groups: numbers as they are, strings as UTF-8 bytes separated by zero bytes."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from ..manifests.manifest import NO_LABEL, Clips, Kind, Manifest, Rows
from ..untrusted import refuse_pipes
from .files import printable, read_json, seal, unseal
from .plain_group import MOST_BYTES, PlainGroup, layout


def to_arrays(manifest: Manifest) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What is known of a manifest as JSON-like values, and its arrays by name."""
    known = {
        "name": manifest.name,
        "kind": manifest.kind,
        "classes": list(manifest.classes),
        "policies": list(manifest.clips),
        "remarks": [printable(remark) for remark in manifest.remarks],
        "digest": manifest.digest,
        "rows_digest": manifest.rows.digest,
    }
    arrays = {
        "sources": _to_bytes(manifest.rows.sources),
        "sizes": manifest.rows.sizes,
        "frames": manifest.rows.frames,
        "sample_ids": _to_bytes(manifest.sample_ids),
        "labels": manifest.labels,
        "folds": manifest.folds,
    }
    for policy, clips in manifest.clips.items():
        arrays[f"clips/{policy}/offsets"] = clips.offsets
        arrays[f"clips/{policy}/indices"] = clips.indices
    return known, arrays


def from_arrays(known: dict[str, Any], array: Callable[[str], np.ndarray], root: str) -> Manifest:
    """The inverse of `to_arrays`; `array(name)` gives an array. Raises ValueError where anything changed since."""
    said = _Known.model_validate(unseal(known))
    manifest = Manifest(
        name=said.name,
        kind=said.kind,
        classes=tuple(said.classes),
        rows=Rows(_to_strings(array("sources")), array("sizes"), array("frames")),
        sample_ids=_to_strings(array("sample_ids")),
        labels=array("labels"),
        folds=array("folds"),
        clips={p: Clips(array(f"clips/{p}/offsets"), array(f"clips/{p}/indices")) for p in said.policies},
        root=root,
        remarks=tuple(said.remarks),
    )
    if not _is_consistent(manifest) or manifest.digest != said.digest:
        raise ValueError("the manifest changed since it was written")
    return manifest


class _Known(BaseModel, strict=True, defer_build=True):
    """What is known of a manifest beside its arrays; more is ignored."""

    name: str
    kind: Kind
    classes: list[str]
    policies: list[str]
    remarks: list[str]
    digest: str


def _is_consistent(manifest: Manifest) -> bool:
    """Whether its arrays fit together; a digest alone says nothing about a file from elsewhere."""
    samples, rows = len(manifest), len(manifest.rows)
    clips = [part for one in manifest.clips.values() for part in (one.offsets, one.indices)]
    arrays = (manifest.labels, manifest.folds, manifest.rows.sizes, manifest.rows.frames, *clips)
    return (
        all(array.ndim == 1 and array.dtype.kind == "i" for array in arrays)
        and len(manifest.labels) == len(manifest.folds) == samples
        and len(manifest.rows.sizes) == len(manifest.rows.frames) == rows
        and _is_within(manifest.labels, NO_LABEL, len(manifest.classes))
        and all(_is_within(clips.indices, 0, rows) for clips in manifest.clips.values())
        and all(_are_bounds(clips.offsets, samples, len(clips.indices)) for clips in manifest.clips.values())
    )


def _is_within(numbers: np.ndarray, first: int, stop: int) -> bool:
    return bool(((numbers >= first) & (numbers < stop)).all())


def _are_bounds(offsets: np.ndarray, parts: int, total: int) -> bool:
    """Whether offsets cut `total` things into parts."""
    has_ends = len(offsets) == parts + 1 and offsets[0] == 0 and offsets[-1] == total
    return has_ends and bool((np.diff(offsets) >= 0).all())


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a manifest as a zarr group."""
    import zarr

    known, arrays = to_arrays(manifest)
    group = zarr.create_group(folder, attributes=seal(known))
    for name, array in arrays.items():
        group.create_array(name, data=array, **layout(array))


def rows_digest_of(folder: Path) -> str:
    """The digest of a manifest's rows as it is noted, without reading its arrays; empty where that is unknown."""
    noted = read_json(folder / "zarr.json")
    attributes = noted.get("attributes") if isinstance(noted, dict) else None
    try:
        return str(unseal(attributes).get("rows_digest", "")) if isinstance(attributes, dict) else ""
    except ValueError:
        return ""


def read_manifest(folder: Path, root: str) -> Manifest:
    """Read a manifest that `write_manifest` wrote, in this version or an older one, which compressed its arrays."""
    try:
        group = PlainGroup(folder)
        return from_arrays(group.attributes, group.array, root)
    except (OSError, ValueError):
        return _read_by_zarr(folder, root)


def _read_by_zarr(folder: Path, root: str) -> Manifest:
    refuse_pipes(folder)
    import zarr

    group = zarr.open_group(folder, mode="r", zarr_format=3)  # what the second holds may be pickled

    def array(name: str) -> np.ndarray:
        found = group[name]
        if not isinstance(found, zarr.Array) or found.dtype.kind not in "iu" or found.nbytes > MOST_BYTES:
            raise ValueError(f"its {name} cannot be one of a manifest")
        return np.asarray(found[:])

    return from_arrays(dict(group.attrs), array, root)


def _to_bytes(strings: Sequence[str]) -> np.ndarray:
    """File names may hold any byte but zero, including ones that are not UTF-8."""
    return np.frombuffer("\0".join(strings).encode("utf-8", "surrogateescape"), dtype=np.uint8)


def _to_strings(blob: np.ndarray) -> tuple[str, ...]:
    return tuple(blob.tobytes().decode("utf-8", "surrogateescape").split("\0"))
