"""`expclip weights`: which files the models need, fetching them ahead, and whether those that are here are whole."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..encoders.weights import PUBLISHED, FileState, Kind, ModelFiles, clip_files, file_states, teacher_files

_FILES = {"clip": clip_files, "teacher": teacher_files}


@dataclass(frozen=True)
class WeightsLine:
    """One model that has a name, for a list."""

    model: str
    kind: Kind
    source: str
    bytes: int
    """About what is fetched."""
    bytes_published: int
    licence: str
    files: int
    """Files needed, as far as that is known from what is here."""
    here: int
    commit: str | None
    """The revision of what is here."""


def list_weights() -> list[WeightsLine]:
    """The models that have a name, and what of them is on this machine; the network is not used."""
    return [_line(model, _FILES[known.kind](model)) for model, known in PUBLISHED.items()]


def _line(model: str, files: ModelFiles) -> WeightsLine:
    known = PUBLISHED[model]
    here = sum(files.path(name) is not None for name in files.names)
    return WeightsLine(
        model=model,
        kind=known.kind,
        source=known.source,
        bytes=known.bytes,
        bytes_published=known.bytes_published,
        licence=known.licence,
        files=len(files.names),
        here=here,
        commit=files.commit,
    )


def fetch_weights(clips: Sequence[str], teachers: Sequence[str]) -> list[ModelFiles]:
    """Fetch what is missing of some models from the hub into its cache ($HF_HOME): of a teacher the encoder side.

    What is in a local folder is looked at, and what comes with expclip is there. Raises UsageError for an unknown
    model, ExpclipError without a network.
    """
    clip = [clip_files(name, fetch=True) for name in dict.fromkeys(clips)]
    return clip + [teacher_files(name, fetch=True) for name in dict.fromkeys(teachers)]


def check_weights(clips: Sequence[str], teachers: Sequence[str]) -> list[FileState]:
    """Compare the files of some models with the digests on record; the network is not used."""
    found = [clip_files(name) for name in dict.fromkeys(clips)]
    found += [teacher_files(name) for name in dict.fromkeys(teachers)]
    return [state for files in found for state in file_states(files)]
