"""What is predicted for each sample, in files: compact ones for programs, and CSV."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..manifests.cells import cell
from ..manifests.disk import distinct_names, file_safe, short_name
from ..manifests.manifest import NO_FOLD
from ..scoring.scores import PLAIN, Predictions

KNOWN = (
    *("dataset", "backbone", "head", "head_id", "seed", "image", "text", "prompts", "protocol", "frames"),
    "untrained",
)
"""What a row says of the combination behind it."""
COSINE = "cosine_"
"""How columns of similarities begin, before the class."""
_OF_SAMPLES = ("sample", "fold", "label", "predicted", "cosine")
_NO_NAMES = ("seed", "untrained")
_ROWS = 2**19
"""In a row group, about. Pages are as large: in small ones bytes that compress lie among those that do not."""


def known_of(predictions: Sequence[Predictions]) -> tuple[str, ...]:
    """What rows say of the combinations behind them: `adapted` too where one of them is, `zero_shot` as in scores."""
    adapted = ("adapted",) if any(one.of.adapted for one in predictions) else ()
    return (*KNOWN, *adapted, *(("zero_shot",) if any(one.of.zero_shot != PLAIN for one in predictions) else ()))


def write_parquet(predictions: Sequence[Predictions], folder: Path) -> None:
    """One file per data set: a row per combination and sample, with the class and every class similarity in float16.

    The class is kept besides, as similarities that are rounded may tie.
    """
    by_dataset = {of: list(some) for of, some in groupby(predictions, key=lambda one: one.of.dataset)}
    names = distinct_names(short_name(file_safe(name)) for name in by_dataset)
    folder.mkdir(exist_ok=True)
    for name, some in zip(names, by_dataset.values(), strict=True):
        schema = _schema(some[0].manifest.classes, known_of(predictions))
        with _writer(folder / f"{name}.parquet", schema) as writer:
            for group in _groups(some):
                writer.write_table(_table(group, schema))


def _schema(classes: Sequence[str], columns: Sequence[str]) -> pa.Schema:
    name = pa.dictionary(pa.int32(), pa.string())
    known = dict.fromkeys(columns, name) | {"seed": pa.uint64(), "untrained": pa.bool_()}
    sample = {"sample": name, "fold": pa.int16(), "label": name, "predicted": name}
    cosines = {column: pa.float16() for column in _cosine_columns(classes)}
    return pa.schema(list((known | sample | cosines).items()))


def _cosine_columns(classes: Sequence[str]) -> list[str]:
    """Those of the class similarities."""
    return [f"{COSINE}{cell(name)}" for name in classes]


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    cosines = [one.name for one in schema if one.type == pa.float16()]
    as_they_are = {"sample", *cosines}  # long runs of the same ids compress better than numbers of them do
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        use_dictionary=[one.name for one in schema if one.name not in as_they_are],  # pyright: ignore[reportArgumentType]
        column_encoding=dict.fromkeys(cosines, "BYTE_STREAM_SPLIT"),
        data_page_size=2**30,
        max_rows_per_page=2 * _ROWS,
        write_statistics=[one for one in KNOWN if one not in _NO_NAMES],  # pyright: ignore[reportArgumentType]
    )


def _groups(predictions: Sequence[Predictions]) -> Iterator[list[Predictions]]:
    """Some at a time, of one manifest."""
    for _, some in groupby(predictions, key=lambda one: id(one.manifest)):
        alike = list(some)
        size = max(1, _ROWS // max(1, len(alike[0].samples)))
        yield from (alike[start : start + size] for start in range(0, len(alike), size))


def _table(some: Sequence[Predictions], schema: pa.Schema) -> pa.Table:
    manifest, lengths = some[0].manifest, [len(one.samples) for one in some]
    samples = np.concatenate([one.samples for one in some])
    labels, predicted = manifest.labels[samples], np.concatenate([one.predicted for one in some])
    similarity = np.concatenate([one.similarity for one in some if one.similarity is not None]).astype(np.float16)
    of_each = np.repeat(np.arange(len(some)), lengths)
    seeds = np.array([one.of.seed or 0 for one in some], dtype=np.uint64)[of_each]
    has_seed = np.array([one.of.seed is not None for one in some])[of_each]
    folds = manifest.folds[samples]
    names = [name for name in (*KNOWN, "adapted", "zero_shot") if name in schema.names and name not in _NO_NAMES]
    columns = {name: _named([getattr(one.of, name) for one in some], lengths) for name in names}
    columns |= {
        "seed": _numbers(seeds, has_seed),
        "untrained": _flags(np.array([one.of.untrained for one in some])[of_each]),
        "sample": _coded(samples, manifest.sample_ids),
        "fold": _numbers(folds.astype(np.int16), folds != NO_FOLD),
        "label": _coded(labels, manifest.classes),
        "predicted": _coded(predicted, manifest.classes),
    }
    cosines = zip(_cosine_columns(manifest.classes), similarity.T, strict=True)
    columns |= {name: _numbers(values) for name, values in cosines}
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _named(values: Sequence[str], lengths: Sequence[int]) -> pa.DictionaryArray:
    """A value of each combination, for all of its samples."""
    known = list(dict.fromkeys(values))
    return _coded(np.repeat([known.index(value) for value in values], lengths), known)


def _coded(codes: np.ndarray, names: Sequence[str]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(_numbers(codes.astype(np.int32)), _texts(list(map(cell, names))))


# Arrow's own ways from arrays and lists import pandas where it is there, which takes longer than all else here.


def _numbers(values: np.ndarray, known: np.ndarray | None = None) -> pa.Array:
    """Numbers (n,), null where they are not `known`."""
    bits = None if known is None else pa.py_buffer(np.packbits(known, bitorder="little"))
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), [bits, pa.py_buffer(np.ascontiguousarray(values))])


def _flags(values: np.ndarray) -> pa.Array:
    return pa.Array.from_buffers(
        pa.bool_(), len(values), [None, pa.py_buffer(np.packbits(values, bitorder="little"))]
    )


def _texts(texts: Sequence[str]) -> pa.StringArray:
    encoded = [text.encode() for text in texts]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    return pa.StringArray.from_buffers(len(texts), pa.py_buffer(ends), pa.py_buffer(b"".join(encoded)))


def csv_columns(predictions: Sequence[Predictions]) -> tuple[str, ...]:
    """The names of what `csv_rows` gives."""
    return (*known_of(predictions), *_OF_SAMPLES)


def csv_rows(predictions: Sequence[Predictions]) -> Iterator[tuple]:
    """A row per combination and sample, with the similarity of the predicted class."""
    columns = known_of(predictions)
    return (row for one in predictions for row in _csv_rows(one, columns))


def _csv_rows(one: Predictions, columns: Sequence[str]) -> Iterator[tuple]:
    assert one.similarity is not None
    manifest = one.manifest
    classes = np.array(manifest.classes)
    known = tuple("" if getattr(one.of, name) is None else getattr(one.of, name) for name in columns)
    per_sample = (
        [manifest.sample_ids[sample] for sample in one.samples],
        [fold or "" for fold in manifest.folds[one.samples].tolist()],
        classes[manifest.labels[one.samples]].tolist(),
        classes[one.predicted].tolist(),
        one.similarity.max(axis=1).astype(np.float64).round(6).tolist(),
    )
    for row in zip(*per_sample, strict=True):
        yield known + row
