"""Which samples the user's descriptions are of."""

from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from ...errors import UsageError
from ...manifests.cells import text_of
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
    known = set(manifest.sample_ids)
    places = {manifest.sample_ids[number]: place for place, number in enumerate(subject.numbers.tolist())}
    meant = [(_meant(one, known), one) for one in descriptions]
    found = [(places[sample], one) for sample, one in meant if sample in places]
    if not found:
        raise UsageError(f"{path}: none of the samples described has both a label and features")
    return found


def _meant(one: Description, known: Collection[str]) -> str:
    """The sample that a description names, as it is or as it stands in a cell of predictions.csv."""
    return one.sample_id if one.sample_id in known else text_of(one.sample_id)


def _refuse_unknown(descriptions: Iterable[Description], manifest: Manifest) -> None:
    known = set(manifest.sample_ids)
    for one in descriptions:
        if _meant(one, known) not in known:
            raise UsageError(
                f"{one.where}: {manifest.label} has no sample {one.sample_id!r}: write ids as they are in "
                f"predictions.csv, for example {manifest.sample_ids[0]}"
            )
