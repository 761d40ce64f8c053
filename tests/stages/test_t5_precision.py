"""In which precision a T5 runs: as is asked, or as its features in the cache, or as the CPU is fast in it."""

import json
import pickle
import shutil
from collections import Counter
from pathlib import Path

import pytest
from expclip.cli import app
from expclip.encoders import dtypes
from expclip.errors import ExpclipError, UsageError
from expclip.pipeline import run_local
from expclip.pipeline.texts import TextEncoder, Texts
from lab import Lab
from typer.testing import CliRunner

MINIATURE = {"clip": "miniature", "teacher": "miniature"}
USUAL = {True: "bfloat16", False: "float32"}
"""By whether the processor multiplies bfloat16."""
BOTH_KINDS = pytest.mark.parametrize("is_native", USUAL)
ALONE = {"image": "llm", "text": "llm", "prompts": "P-1"}


@pytest.fixture
def processor(monkeypatch):
    """`processor(is_native)` goes on with one that multiplies bfloat16, or with one that does not."""
    return lambda is_native: monkeypatch.setattr(dtypes, "multiplies_bfloat16", lambda: is_native)


@pytest.fixture
def how(tiny_models) -> dict:
    """What names a teacher of the user's own."""
    return {"clip": "miniature", "teacher": str(tiny_models / "teacher"), "instruction": "related-1"}


@pytest.fixture
def shards_of_eight(monkeypatch):
    monkeypatch.setattr("expclip.cache.header.SHARD_ROWS", 8)


def rows(lab: Lab, dataset: str | None = None, node: str = "llm", **fields: str) -> Counter:
    """How many rows of a node are there, by T5's precision."""
    found: Counter = Counter()
    for store in lab.cache.find(dataset, node, **fields):
        found[store.header.main_dtype] += store.rows_done()
    return found


def planned(lab: Lab, dataset: Path, **how) -> list[tuple[str, int]]:
    """T5's precision and the missing rows of each store of e_G."""
    stores = lab.extract(dataset, plan=True, **how).stores
    return [(one.precision.removeprefix("t5 "), one.missing) for one in stores if one.node == "llm"]


def fill_both(lab: Lab, dataset: Path, how: dict, processor, native: int | None = None, exact: int | None = None):
    """Fill a store in bfloat16 and one in float32, up to so many rows."""
    processor(True)
    lab.extract(dataset, **how, limit=native)
    lab.extract(dataset, **how, limit=exact, dtype="float32")


@BOTH_KINDS
def test_an_empty_cache_is_filled_as_the_processor_is_fast(lab, photos, how, processor, is_native):
    processor(is_native)
    assert planned(lab, photos, **how) == [(USUAL[is_native], 40)]
    assert not lab.cache.root.exists() or rows(lab) == {}
    lab.extract(photos, **how)
    assert rows(lab) == {USUAL[is_native]: 40}


@BOTH_KINDS
def test_the_miniature_is_float32_on_every_cpu(lab, photos, processor, is_native):
    processor(is_native)
    assert planned(lab, photos, **MINIATURE) == [("float32", 40)]
    assert planned(lab, photos, clip="miniature", teacher="local-dir:miniature") == [("float32", 40)]


@BOTH_KINDS
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_asked_for_wins_over_processor_and_cache(lab, photos, how, processor, is_native, dtype):
    fill_both(lab, photos, how, processor, native=7, exact=7)
    processor(is_native)
    for asked in (how, MINIATURE):
        assert [precision for precision, _ in planned(lab, photos, **asked, dtype=dtype)] == [dtype]
    lab.extract(photos, **how, dtype=dtype)
    assert rows(lab)[dtype] >= 40


@pytest.mark.usefixtures("shards_of_eight")
@BOTH_KINDS
def test_what_is_half_made_is_finished_on_the_other_kind_of_processor(lab, photos, how, processor, work, is_native):
    processor(is_native)
    lab.extract(photos, **how, limit=16)
    processor(not is_native)
    assert planned(lab, photos, **how) == [(USUAL[is_native], 24)]
    lab.extract(photos, **how)
    assert rows(lab) == {USUAL[is_native]: 40}
    assert work["TextSide inputs"] == work["ImageSide inputs"] == 40
    assert lab.extract(photos, **how).encoded == 0


def test_a_miniature_that_an_earlier_version_began_in_bfloat16_is_finished_in_it(lab, photos, work, monkeypatch):
    with monkeypatch.context() as earlier:
        earlier.setattr(dtypes.PartDTypes, "t5", "bfloat16")
        lab.extract(photos, **MINIATURE, limit=15)
    lab.extract(photos, **MINIATURE)
    assert rows(lab) == {"bfloat16": 40}
    assert work["TextSide inputs"] == 40


@BOTH_KINDS
def test_pictures_that_are_added_and_other_data_sets_are_encoded_alike(
    lab, photos, labelled, how, processor, work, tmp_path, is_native
):
    folder = Path(shutil.copytree(photos, tmp_path / "photos"))
    processor(is_native)
    lab.extract(folder, **how)
    processor(not is_native)
    shutil.copy(next(labelled.rglob("*.png")), folder / "new.png")
    work.clear()
    lab.extract(folder, **how)
    assert work["TextSide inputs"] == 1
    assert planned(lab, labelled, **how) == [(USUAL[is_native], 42)]


@BOTH_KINDS
def test_another_instruction_or_teacher_begins_as_the_processor_is_fast(
    lab, photos, how, processor, tmp_path, is_native
):
    processor(not is_native)
    lab.extract(photos, **how)
    processor(is_native)
    both = how | {"instruction": ["related-1", "empty"]}
    assert planned(lab, photos, **both) == [(USUAL[not is_native], 0), (USUAL[is_native], 40)]
    other = Path(shutil.copytree(how["teacher"], tmp_path / "other"))
    config = json.loads((other / "config.json").read_text())
    config["text_config"]["layer_norm_epsilon"] = 1e-3
    (other / "config.json").write_text(json.dumps(config))
    assert planned(lab, photos, **how | {"teacher": str(other)}) == [(USUAL[is_native], 40)]


@BOTH_KINDS
@pytest.mark.parametrize(("native", "exact", "most"), [(16, 7, "bfloat16"), (7, 16, "float32"), (9, 9, None)])
def test_of_two_half_stores_the_fuller_one_is_finished(lab, photos, how, processor, is_native, native, exact, most):
    fill_both(lab, photos, how, processor, native, exact)
    processor(is_native)
    goes_on = most or USUAL[is_native]
    assert planned(lab, photos, **how) == [(goes_on, 40 - max(native, exact))]
    with pytest.raises(UsageError, match=f"{max(native, exact)} of 40 rows are extracted: run"):
        lab.fit_head(train=photos, **how, batch_size=16)
    lab.extract(photos, **how)
    lab.fit_head(train=photos, **how, batch_size=16, epochs=1, seed=1)


@BOTH_KINDS
def test_a_data_set_counts_before_others(lab, photos, labelled, how, processor, is_native):
    processor(True)
    lab.extract(labelled, **how)
    lab.extract(photos, **how, limit=9, dtype="float32")
    processor(is_native)
    assert planned(lab, photos, **how) == [("float32", 31)]


@BOTH_KINDS
def test_of_two_complete_stores_nothing_is_missing_and_later_commands_ask(lab, labelled, how, processor, is_native):
    fill_both(lab, labelled, how, processor)
    processor(is_native)
    assert planned(lab, labelled, **how) == [(USUAL[is_native], 0)]
    differ = r"labelled has 2 stores of llm .* differ in .*precision\.t5 \((bfloat16|float32), .*\): give "
    with pytest.raises(UsageError, match=f"{differ}one's digest"):
        lab.fit_head(train=labelled, **how, batch_size=16)
    with pytest.raises(UsageError, match=f"{differ}dtype, or one's digest"):
        lab.evaluate(labelled, **how, **ALONE)
    rough, exact = (
        lab.evaluate(labelled, **how, **ALONE, dtype=dtype).predictions[0].similarity for dtype in USUAL.values()
    )
    assert (rough != exact).any()


@BOTH_KINDS
def test_one_complete_store_is_meant_under_any_processor_and_a_dtype_that_it_has_not_is_missing(
    lab, labelled, how, processor, work, is_native
):
    processor(is_native)
    lab.extract(labelled, **how)
    processor(not is_native)
    lab.fit_head(train=labelled, **how, batch_size=16, epochs=1, seed=1)
    work.clear()
    lab.evaluate(labelled, **how, **ALONE)
    assert work["TextSide inputs"] == 0
    other, has = USUAL[not is_native], USUAL[is_native]
    with pytest.raises(UsageError, match=f"no complete llm .*it is there with dtype {has}, or run .*--dtype {other}"):
        lab.evaluate(labelled, **how, **ALONE, dtype=other, cached_only=True)
    lab.evaluate(labelled, **how, **ALONE, dtype=other)
    assert rows(lab) == {"bfloat16": 42, "float32": 42}


def stores_of(lab: Lab, dtype: str) -> list[Path]:
    return [store.path for store in lab.cache.find(None, "llm", main_dtype=dtype)]


@BOTH_KINDS
def test_a_store_that_cannot_be_read_is_never_begun_anew_in_the_other_precision(
    lab, photos, how, processor, is_native
):
    processor(is_native)
    lab.extract(photos, **how)
    (path,) = stores_of(lab, USUAL[is_native])
    (path / "zarr.json").write_text("{")
    processor(not is_native)
    for plan in (True, False):
        with pytest.raises(ExpclipError, match=f"{path.name}: not a feature store .*: remove it and run"):
            lab.extract(photos, **how, plan=plan)
    shutil.rmtree(path)
    assert planned(lab, photos, **how) == [(USUAL[not is_native], 40)]


@BOTH_KINDS
def test_a_store_that_can_be_read_is_preferred_to_one_that_cannot(lab, photos, how, processor, is_native):
    fill_both(lab, photos, how, processor)
    (path,) = stores_of(lab, USUAL[is_native])
    (path / "zarr.json").unlink()
    processor(is_native)
    assert planned(lab, photos, **how) == [(USUAL[not is_native], 0)]


@BOTH_KINDS
@pytest.mark.parametrize("unknown", ["int8", 8, None, ["float32"], {}])
def test_a_store_of_an_unknown_precision_is_no_beginning(lab, photos, how, processor, is_native, unknown):
    processor(not is_native)
    lab.extract(photos, **how)
    (path,) = stores_of(lab, USUAL[not is_native])
    document = json.loads((path / "zarr.json").read_text())
    document["attributes"]["spec"]["precision"]["t5"] = unknown
    document["attributes"] |= {"encoder_digest": 64 * "0", "key": 64 * "1"}
    (path / "zarr.json").write_text(json.dumps(document))
    path.rename(path.with_name(path.name.replace(path.stem[-12:], 12 * "1")))
    processor(is_native)
    assert planned(lab, photos, **how) == [(USUAL[is_native], 40)]
    lab.extract(photos, **how)
    lab.fit_head(train=photos, **how, batch_size=16, epochs=1, seed=1)


def test_the_precision_is_decided_where_the_work_is_planned(lab, photos, how, processor, monkeypatch):
    """A worker with another kind of processor gets the node as it was planned."""
    processor(True)
    encode_task = run_local.encode_task

    def elsewhere(*arguments, **more):
        processor(False)
        return encode_task(*arguments, **more)

    monkeypatch.setattr(run_local, "encode_task", elsewhere)
    lab.extract(photos, **how)
    assert rows(lab) == {"bfloat16": 40}


@BOTH_KINDS
def test_a_node_keeps_its_precision_on_its_way_to_another_machine(lab, how, processor, is_native):
    processor(is_native)
    node = lab.workspace.models.node("llm", how["teacher"], instruction_name="related-1")
    sent = pickle.dumps(node)
    processor(not is_native)
    there = pickle.loads(sent)
    assert there.digest == node.digest
    weights = there.load("cpu")._parts.language_model.parameters()
    assert {str(one.dtype) for one in weights} == {f"torch.{USUAL[is_native]}"}


@BOTH_KINDS
def test_the_plan_says_the_precision(lab, photos, how, processor, is_native):
    processor(is_native)
    line = ["extract", str(photos), "--plan", "--clip", "miniature", "--teacher", how["teacher"], "--device", "cpu"]
    environment = {"EXPCLIP_CACHE": str(lab.cache.root), "COLUMNS": "200"}
    printed = CliRunner().invoke(app, line, env=environment).stdout
    assert "precision" in printed
    assert f"t5 {USUAL[is_native]}" in printed
    stores = json.loads(CliRunner().invoke(app, [*line, "--json"], env=environment).stdout)["stores"]
    assert {one["node"]: one["precision"] for one in stores} == {
        "clip_image": "float32",
        "query_tokens": "vision float32",
        "llm": f"t5 {USUAL[is_native]}",
    }
    assert not rows(lab)


@BOTH_KINDS
def test_texts_that_a_t5_reads_alone_go_on_in_the_precision_of_those_before(lab, how, processor, is_native):
    """A head that was brought from elsewhere does not tell in which precision its teacher was."""
    encoder = TextEncoder("llm_text", how["teacher"], how["teacher"], None, None)
    processor(is_native)
    Texts(lab.workspace).embeddings(encoder, {"one": ["a face"]})
    processor(not is_native)
    Texts(lab.workspace).embeddings(encoder, {"two": ["another face"]})
    assert rows(lab, "text", "llm_text") == {USUAL[is_native]: 2}
