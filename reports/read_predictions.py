"""Predictions as an evaluation wrote them, some at a time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..manifests.cells import text_of
from ..scoring.reliability import probabilities
from ..scoring.scores import Combination
from .predictions import COSINE

if TYPE_CHECKING:
    import pyarrow as pa


class Key(NamedTuple):
    """What tells combinations of a data set apart in a file of predictions."""

    backbone: str
    head: str
    head_id: str
    seed: int | None
    image: str
    text: str
    prompts: str
    adapted: str

    @classmethod
    def of(cls, one: Combination) -> "Key":
        """That of a combination."""
        return cls(*(getattr(one, name) for name in cls._fields))


@dataclass(frozen=True, eq=False)
class Predicted:
    """What one combination predicts for some samples."""

    of: Key
    samples: np.ndarray
    """(n,) places among the ids that are known so far."""
    truth: np.ndarray
    """(n,) class indices."""
    predicted: np.ndarray
    """(n,) class indices."""
    confidence: np.ndarray | None
    """(n,) probability of the predicted class; None where it was not asked for."""


class PredictionFile:
    """The predictions of one data set. Raises what Arrow raises where the file is damaged."""

    def __init__(self, path: Path):
        import pyarrow.parquet as pq

        self._file = pq.ParquetFile(path)
        self._columns = [name for name in self._file.schema_arrow.names if name.startswith(COSINE)]
        self.classes = tuple(text_of(name.removeprefix(COSINE)) for name in self._columns)
        self.ids: dict[str, int] = {}
        """The samples that were met, with their places."""

    @property
    def dataset(self) -> str:
        """What the results call the data set; empty where the file has no row."""
        if not self._file.metadata.num_rows:
            return ""
        return text_of(self._file.read_row_group(0, ["dataset"])["dataset"][0].as_py())

    def parts(self, scale: Callable[[Key], float | None]) -> Iterator[Predicted]:
        """All predictions; with confidences those that have a `scale`, which makes similarities logits."""
        there = set(self._file.schema_arrow.names)
        names = [name for name in Key._fields if name in there]
        for group in range(self._file.num_row_groups):
            table = self._file.read_row_group(group, [*names, "sample", "label", "predicted"])
            keys = {name: _coded(table, name) for name in names}
            sample, label, predicted = (_coded(table, name) for name in ("sample", "label", "predicted"))
            places = self._places(sample.names)[sample.codes]
            classes = (_indices(one.names, self.classes)[one.codes] for one in (label, predicted))
            truth, guess = classes
            cosines: pa.Table | None = None
            for run in _runs([one.codes for one in keys.values()]):
                of = _key({name: one.names[one.codes[run.start]] for name, one in keys.items()})
                by, confidence = scale(of), None
                if by is not None:
                    cosines = read = self._file.read_row_group(group, self._columns) if cosines is None else cosines
                    confidence = _confidence(read.slice(run.start, run.stop - run.start), guess[run], by)
                yield Predicted(of, places[run], truth[run], guess[run], confidence)

    def _places(self, ids: Sequence[str]) -> np.ndarray:
        return np.array([self.ids.setdefault(text_of(one), len(self.ids)) for one in ids], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class _Coded:
    """A column of names: each as its place in a list."""

    names: list
    codes: np.ndarray


def _coded(table: "pa.Table", name: str) -> _Coded:
    import pyarrow as pa

    column = table[name]
    column = column if pa.types.is_dictionary(column.type) else column.dictionary_encode("encode")
    column = column.unify_dictionaries().combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0)
    if column.null_count:
        raise ValueError(f"its column {name} has gaps")
    return _Coded(column.dictionary.to_pylist(), column.indices.to_numpy(zero_copy_only=False))


def _indices(names: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """The classes of names. Raises KeyError for one that is none."""
    places = {name: place for place, name in enumerate(classes)}
    return np.array([places[text_of(name)] for name in names], dtype=np.int64)


def _runs(codes: Sequence[np.ndarray]) -> Iterator[slice]:
    """The rows of one combination after another."""
    n = len(codes[0])
    is_new = np.zeros(n, dtype=bool)
    for column in codes:
        is_new[1:] |= column[1:] != column[:-1]
    starts = [0, *np.flatnonzero(is_new).tolist(), n]
    yield from (slice(start, stop) for start, stop in pairwise(starts) if stop > start)


def _key(known: dict) -> Key:
    texts = {name: text_of(known[name]) if name in known else "" for name in Key._fields if name != "seed"}
    return Key(seed=known.get("seed"), **texts)


def _confidence(cosines: "pa.Table", predicted: np.ndarray, scale: float) -> np.ndarray:
    """(n,) probabilities of the predicted classes."""
    similarity = np.stack([column.to_numpy() for column in cosines.columns], axis=1).astype(np.float64)
    with np.errstate(all="ignore"):  # what comes of it is looked at
        return probabilities(similarity, scale)[np.arange(len(predicted)), predicted]
