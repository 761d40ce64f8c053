"""Which samples the user's descriptions are of."""

from collections.abc import Callable, Iterable
from pathlib import Path

from ...errors import UsageError
from ...manifests.descriptions import Description, read_descriptions
from ...manifests.manifest import Manifest
from .subject import Subject


def refuse_undescribed(path: Path | None) -> Callable[[Manifest], None]:
    """What raises UsageError for a data set that lacks a sample which a file describes; the file is read now."""
    descriptions = read_descriptions(path) if path is not None else []
    return lambda manifest: _refuse_unknown(descriptions, manifest)


def described_samples(path: Path, subject: Subject) -> list[tuple[int, Description]]:
    """Each description of a sample that has a label and features, with the sample's place among these."""
    manifest, descriptions = subject.manifest, read_descriptions(path)
    _refuse_unknown(descriptions, manifest)
    places = {manifest.sample_ids[number]: place for place, number in enumerate(subject.numbers.tolist())}
    found = [(places[one.sample_id], one) for one in descriptions if one.sample_id in places]
    if not found:
        raise UsageError(f"{path}: none of the samples described has both a label and features")
    return found


def _refuse_unknown(descriptions: Iterable[Description], manifest: Manifest) -> None:
    known = set(manifest.sample_ids)
    for one in descriptions:
        if one.sample_id not in known:
            raise UsageError(
                f"{one.where}: {manifest.label} has no sample {one.sample_id!r}: write ids as they are in "
                f"predictions.csv, for example {manifest.sample_ids[0]}"
            )
