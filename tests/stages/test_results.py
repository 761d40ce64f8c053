"""What an evaluation writes comes back by one call."""

import csv
import json

import expclip
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


def test_results_that_are_not_whole_are_refused_with_the_command_that_mends_them(lab, labelled, tmp_path):
    lab.evaluate(labelled, **SCORING, out=tmp_path / "out")
    marker = tmp_path / "out" / MARKER
    said = json.loads(marker.read_text())
    assert said["version"] == expclip.__version__
    run = said["runs"]["evaluate"]
    assert run["command"].startswith(f"expclip evaluate {labelled} --clip miniature --prompts P-1 --prompts P-3")
    assert run["files"] == ["confusion.npz", "predictions/labelled.parquet", "scores.csv", "tables.md"]
    marker.write_text(json.dumps(said | {"runs": {"evaluate": run | {"whole": False}}}))
    with pytest.raises(
        UsageError, match=r"out: an evaluation that wrote here was interrupted: run `expclip evaluate"
    ):
        read_results(tmp_path / "out")
    lab.evaluate(labelled, **SCORING, out=tmp_path / "out")
    assert len(read_results(tmp_path / "out").scores) == 2


@pytest.mark.parametrize("file", ["scores.csv", "predictions/labelled.parquet"])
def test_results_that_an_earlier_version_left_torn_are_one_line(lab, labelled, tmp_path, file):
    lab.evaluate(labelled, **SCORING, out=tmp_path / "out")
    (tmp_path / "out" / file).write_bytes((tmp_path / "out" / file).read_bytes()[:200])
    (tmp_path / "out" / MARKER).write_text('{"made_by": "expclip", "what": "results"}')
    with pytest.raises(UsageError, match=r"these results cannot be read .*: evaluate again"):
        read_results(tmp_path / "out")


def test_figures_of_an_earlier_evaluation_do_not_stay_and_those_of_others_do(lab, labelled, tmp_path):
    out = tmp_path / "out"
    lab.evaluate(labelled, **SCORING, figures=True, out=out)
    lab.figures(labelled, clip="miniature", prompts="P-1", kind=["confusion", "variance"], out=out / "figures")
    lab.evaluate(labelled, clip="miniature", prompts="P-3", figures=True, out=out)
    names = {path.name for path in (out / "figures").iterdir() if path.name[0] != "."}
    assert names == {
        *(f"labelled-miniature-none-P-3.{end}" for end in ("png", "pdf")),
        *(f"confusion-labelled-miniature-P-1.{end}" for end in ("png", "pdf")),
        *(f"variance-labelled-miniature.{end}" for end in ("png", "pdf")),
    }
    lab.figures(labelled, clip="miniature", prompts="P-1", kind="variance", out=out / "figures")
    assert not list((out / "figures").glob("confusion-*"))
    lab.evaluate(labelled, clip="miniature", prompts="P-3", out=out)
    assert {path.stem for path in (out / "figures").glob("[!.]*")} == {"variance-labelled-miniature"}


def test_tables_of_the_paper_do_not_take_the_place_of_an_evaluations(lab, labelled, tmp_path):
    lab.evaluate(labelled, **SCORING, out=tmp_path / "out")
    with pytest.raises(UsageError, match=r"tables.md there is of `expclip evaluate .*`: choose another folder"):
        lab.reproduce("1", out=tmp_path / "out")
