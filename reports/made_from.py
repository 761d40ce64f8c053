"""What results say of the features that they were made from: noted by `evaluate`, read by `report`."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ..cache.store import FeatureStore
from ..manifests.manifest import Manifest

MOST_FAILED = 200
"""Rows that are named; of more only the number is noted."""


@dataclass(frozen=True)
class MadeFrom:
    """A store of features behind results, and the data set that it is of."""

    dataset: str
    """As the results call it."""
    folder: str
    """Of the cache that keeps the data set."""
    rows_digest: str
    classes: tuple[str, ...]
    store: str
    """Name of the store's folder."""
    node: str
    model: str
    instruction: str
    protocol: str
    precision: str
    untrained: bool
    spec: dict[str, Any]
    """Everything that can change the encoder's values."""
    rows: int
    n_failed: int
    failed: tuple[tuple[str, str], ...]
    """What could not be encoded and why, of the first rows."""
    devices: tuple[str, ...]
    versions: tuple[str, ...]
    """Of what encoded it: `torch 2.9.0`."""
    written: str
    """When the last shard was (UTC, ISO 8601)."""


def made_from(manifest: Manifest, store: FeatureStore) -> dict[str, Any]:
    """What is to be noted of a store of features of a data set."""
    header, receipts = store.header, list(store.receipts.read().values())
    failed = [(row.source, row.error) for one in receipts for row in one.failed]
    versions = {f"{name} {version}" for one in receipts for name, version in one.versions.items()}
    found = MadeFrom(
        dataset=manifest.label,
        folder=manifest.folder,
        rows_digest=manifest.rows.digest,
        classes=manifest.classes,
        store=store.path.stem,
        node=header.node,
        model=header.model,
        instruction=header.instruction,
        protocol=header.protocol,
        precision=header.precision,
        untrained=header.untrained,
        spec=header.spec,
        rows=header.rows,
        n_failed=len(failed),
        failed=tuple(failed[:MOST_FAILED]),
        devices=tuple(sorted({one.device for one in receipts if one.device})),
        versions=tuple(sorted(versions)),
        written=max((one.written for one in receipts), default=""),
    )
    return asdict(found)


def parsed(features: Iterable[Any]) -> list[MadeFrom]:
    """What is noted of features, without what is none of ours."""
    found = []
    for one in features:
        try:
            found.append(_adapter().validate_python(one))
        except ValidationError:
            continue
    return found


@cache
def _adapter() -> TypeAdapter[MadeFrom]:
    return TypeAdapter(MadeFrom)
