"""What an evaluation writes comes back by one call."""

import csv

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from expclip import UsageError, read_results
from expclip.manifests.own_output import MARKER

SCORING = {"clip": "miniature", "prompts": ["P-1", "P-3"]}


@pytest.fixture
def fitted(lab, photos):
    """A linear head."""
    taught = {"clip": "miniature", "teacher": "miniature", "instruction": "related-1", "device": "cpu"}
    lab.extract(photos, **taught)
    lab.fit_head(photos, **taught, seed=1, epochs=2, batch_size=16)


def test_predictions_come_back_with_all_class_similarities(lab, fitted, labelled, tmp_path):
    found = lab.evaluate(labelled, **SCORING, out=tmp_path / "out")
    results = read_results(tmp_path / "out")
    assert list(results.predictions) == ["labelled"]
    table = results.predictions["labelled"]
    rows = table.to_pylist()
    place = 0
    for one in found.predictions:
        manifest = one.manifest
        for sample, predicted, cosines in zip(one.samples, one.predicted, one.similarity, strict=True):
            row = rows[place]
            place += 1
            assert row["sample"] == manifest.sample_ids[sample]
            assert row["label"] == manifest.classes[manifest.labels[sample]]
            assert row["predicted"] == manifest.classes[predicted]
            assert (row["head_id"], row["prompts"], row["seed"]) == (one.of.head_id, one.of.prompts, one.of.seed)
            assert [row[f"cosine_{name}"] for name in manifest.classes] == cosines.astype(np.float16).tolist()
    assert place == len(rows) == len(found.predictions) * 42
    assert [row["uar"] for row in results.scores.to_pylist()] == pytest.approx(
        [one.uar for one in found.scores], abs=1e-4
    )


def test_similarities_are_float16_names_are_kept_once_and_all_is_compressed(lab, labelled, tmp_path):
    lab.evaluate(labelled, **SCORING, out=tmp_path / "out")
    file = pq.ParquetFile(tmp_path / "out/predictions/labelled.parquet")
    columns = [file.metadata.row_group(0).column(k) for k in range(file.metadata.num_columns)]
    encodings = {one.path_in_schema: one.encodings for one in columns}
    assert {one.compression for one in columns} == {"ZSTD"}
    for name, encoding in encodings.items():
        assert ("BYTE_STREAM_SPLIT" in encoding) == name.startswith("cosine_")
    assert "RLE_DICTIONARY" in encodings["prompts"]
    schema = file.schema_arrow
    assert all(
        pa.types.is_dictionary(schema.field(name).type) for name in ("sample", "label", "predicted", "head_id")
    )


def test_csv_and_parquet_say_the_same(lab, fitted, labelled, tmp_path):
    for kind in ("csv", "parquet"):
        lab.evaluate(labelled, **SCORING, predictions=kind, out=tmp_path / kind)
    with (tmp_path / "csv/predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    table = read_results(tmp_path / "parquet").predictions["labelled"]
    for name in ("dataset", "head_id", "prompts", "sample", "label", "predicted"):
        assert [row[name] for row in rows] == table[name].to_pylist()
    assert not (tmp_path / "csv/predictions").exists()


def test_figures_among_other_things_are_marked_so_that_nobody_takes_them_for_data(lab, labelled, tmp_path):
    (tmp_path / "photo.png").write_bytes(b"somebody's")
    lab.evaluate(labelled, **SCORING, figures=True, out=tmp_path)
    assert not (tmp_path / MARKER).exists()
    assert (tmp_path / "figures" / MARKER).exists()


def test_predictions_of_an_earlier_evaluation_do_not_stay_beside_others_scores(lab, labelled, tmp_path):
    for kind, expected in (("parquet", ["predictions"]), ("csv", ["predictions.csv"]), ("none", [])):
        lab.evaluate(labelled, **SCORING, predictions=kind, out=tmp_path)
        there = [path for path in tmp_path.glob("predictions*") if path.is_file() or any(path.iterdir())]
        assert [path.name for path in there] == expected


def test_predictions_that_nobody_wants_are_not_written(lab, labelled, tmp_path):
    found = lab.evaluate(labelled, **SCORING, predictions="none", out=tmp_path / "out")
    assert not found.predictions
    assert len(found.scores) == 2
    assert not list((tmp_path / "out").glob("predictions*"))
    assert read_results(tmp_path / "out").predictions == {}


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no results of an evaluation"):
        read_results(tmp_path)
