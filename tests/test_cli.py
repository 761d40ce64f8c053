"""The command line as a contract: exit codes, one clear line for a mistake, JSON that is only JSON."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from expclip.cli import app
from expclip.manifests.faces import sets
from typer.testing import CliRunner


@pytest.fixture
def run(tmp_path, monkeypatch, lab):
    """Runs a command in an empty working directory with an empty cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EXPCLIP_CACHE", str(lab.cache.root))
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


MINI = ("--clip", "miniature", "--device", "cpu")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["extract", "rafdb", *MINI], "'rafdb' is neither a data set nor a path: did you mean raf-db?"),
        (["extract", "raf-db", *MINI], "Give --root raf-db=DIR"),
        (["extract", "raf-db:val", *MINI], "raf-db has no split 'val': choose test or train"),
        (["extract", "./nowhere", *MINI], "nowhere: there is no such folder or list file"),
        (
            ["extract", "{photos}", "--clip", "ViT-B-99@openai"],
            "--clip ViT-B-99: open_clip knows no such architecture; the closest are ",
        ),
        (["extract", "{photos}", "--clip", "RN50"], "name the weights too"),
        (["extract", "{photos}", *MINI, "--teacher", "nothing"], "--teacher 'nothing'"),
        (["extract", "{photos}", *MINI, "--device", "tpu"], "choose cpu, cuda, cuda:N or mps"),
        (["extract", "{photos}", *MINI, "--dtype", "int8"], "choose float32, float16 or bfloat16"),
        (["extract", "{photos}", *MINI, "--protocol", "mine"], "choose released, paper or native"),
        (["extract", "{photos}", *MINI, "--frames", "some"], "choose released, edge, all, linspace-8 or eve"),
        (["extract", "{photos}", *MINI, "--features", "pixels"], "choose clip_image, query_tokens or llm"),
        (["extract", "{photos}", *MINI, "--part", "3/2"], "write I/N with 1 ≤ I ≤ N"),
        (["extract", "{photos}", *MINI, "--executor", "slurm", "--plan"], "choose local or dask"),
        (
            ["extract", "{photos}", *MINI, "--executor", "local", "--scheduler", "tcp://x:1"],
            "only --executor dask has one",
        ),
        (["extract", "{photos}", "{photos}", "--root", "/x", *MINI], "--root /x: with several data sets write NAME"),
        (
            ["fit-head", "--train", "{photos}", "--clip", "miniature"],
            "has nothing of photos: run `expclip extract {photos}",
        ),
        (["fit-head", "--train", "caer-s", "--head", "cubic"], "--head 'cubic': choose linear, mlp2, mlp3"),
        (["fit-head", "--train", "caer-s", "--objective", "l1"], "--objective 'l1': choose infonce or mse"),
        (["heads", "import", "missing.pth"], "missing.pth: there is no such file"),
        (["heads", "export", "abc", "head.pth"], "'abc': no such head"),
        (["fit-head", "--train", "caer-s", "--precision", "int4"], "choose float32 or bfloat16"),
        (["evaluate", "{photos}", *MINI, "--prompts", "P-9"], "no prompt set 'P-9'"),
        (["evaluate", "{photos}", *MINI], "photos has no labels"),
        (["evaluate", "{photos}", *MINI, "--image", "eye"], "--image 'eye': choose clip or llm"),
        (["evaluate", "{photos}", *MINI, "--adapt", "middle"], "--adapt 'middle': choose none, prior or center"),
        (["evaluate", "{photos}", *MINI, "--prior", "fear"], "--prior 'fear': give CLASS=SHARE"),
        (["reproduce", "9"], "the paper has no table '9' of scores: choose 1, 2, 3, 4, 5, A or B"),
        (["reproduce", "1", "--train", "./nowhere/else", "--clip", "RN50"], "name the weights too"),
        (["weights", "check", "--teacher", "nothing"], "--teacher 'nothing'"),
        (["weights", "fetch", "--clip", "RN50"], "name the weights too"),
        (["doctor", "--device", "tpu"], "choose cpu, cuda, cuda:N or mps"),
        (["cache", "export", "nothing", "x.h5"], "no store matches 'nothing'"),
        (["cache", "import", "missing.h5"], "missing.h5"),
        (["datasets", "audit", "./nowhere"], "there is no such folder"),
    ],
)
def test_a_mistake_is_one_clear_line_and_exit_code_2(run, photos, arguments, said):
    result = run(*(str(argument).replace("{photos}", str(photos)) for argument in arguments))
    assert result.exit_code == 2, result.output
    assert said.replace("{photos}", str(photos)) in result.stderr
    assert "Traceback" not in result.output
    assert len([line for line in result.stderr.splitlines() if line.startswith("error: ")]) == 1


def test_an_unknown_key_of_the_configuration_file_is_an_error(run, photos):
    Path("expclip.toml").write_text('[defaults]\ncolour = "blue"\n', encoding="utf-8")
    result = run("extract", photos, *MINI)
    assert result.exit_code == 2
    assert "expclip.toml: defaults.colour" in result.stderr


def test_the_configuration_file_gives_defaults_and_flags_win(run, photos):
    Path("expclip.toml").write_text('[defaults]\nclip = "miniature"\nprotocol = "paper"\n', encoding="utf-8")
    (stored,) = json.loads(run("extract", photos, "--json").stdout)["stores"]
    assert (stored["model"], stored["protocol"]) == ("miniature", "paper")
    (stored,) = json.loads(run("extract", photos, "--protocol", "released", "--json").stdout)["stores"]
    assert stored["protocol"] == "released"


def test_an_empty_folder_is_refused(run, tmp_path):
    (tmp_path / "empty").mkdir()
    result = run("extract", tmp_path / "empty", *MINI)
    assert result.exit_code == 2
    assert "empty" in result.stderr


def test_a_second_extraction_finds_everything_cached(run, photos):
    first = json.loads(run("extract", photos, *MINI, "--teacher", "miniature", "--json").stdout)
    assert first["encoded"] == 3 * 40
    second = json.loads(run("extract", photos, *MINI, "--teacher", "miniature", "--json").stdout)
    assert second["encoded"] == 0
    assert [(one["cached"], one["missing"]) for one in second["stores"]] == [(40, 0)] * 3


def test_a_plan_counts_and_writes_nothing_and_encodes_nothing(run, photos, monkeypatch):
    from expclip.encoders.clip.towers import ImageTower

    monkeypatch.setattr(ImageTower, "__init__", lambda *_: pytest.fail("a model was loaded"))
    plan = run("extract", photos, *MINI, "--plan")
    assert plan.exit_code == 0
    assert "missing" in plan.stdout
    (line,) = json.loads(run("extract", photos, *MINI, "--plan", "--json").stdout)["stores"]
    assert (line["cached"], line["missing"], line["bytes"]) == (0, 40, 40 * 128 * 2)
    assert not Path(line["path"]).exists()


def test_rows_that_fail_are_listed_and_the_exit_code_is_3(run, tmp_path, photos):
    folder = tmp_path / "some photos"
    folder.mkdir()
    for name in ("000.png", "001.png"):
        (folder / name).write_bytes((photos / name).read_bytes())
    (folder / "broken.png").write_bytes((photos / "002.png").read_bytes()[:300])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("no image")
    for _ in range(2):  # now and whenever the cache is asked again
        result = run("extract", folder, *MINI)
        assert result.exit_code == 3
        assert "empty.jpg: the file is empty" in result.stderr
        assert "text.jpg: this is no image" in result.stderr
        assert "broken.png: " in result.stderr
        assert "3 rows could not be encoded" in result.stderr


def test_json_output_is_one_document_and_nothing_else(run, labelled, photos):
    for command in (
        ["extract", photos, *MINI, "--teacher", "miniature"],
        ["fit-head", "--train", photos, "--clip", "miniature", "--teacher", "miniature", "--batch-size", 16],
        ["evaluate", labelled, *MINI, "--prompts", "P-1"],
        [
            "evaluate",
            labelled,
            *MINI,
            "--image",
            "llm",
            "--text",
            "llm",
            "--teacher",
            "miniature",
            "--prompts",
            "P-1",
        ],
        [
            "reproduce",
            "1",
            "5",
            "--clip",
            "miniature",
            "--teacher",
            "miniature",
            "--train",
            photos,
            "--test",
            labelled,
        ],
        ["cache", "list"],
        ["heads", "list"],
        ["datasets", "list"],
        ["datasets", "audit", photos],
    ):
        result = run(*command, "--json")
        assert result.exit_code == 0, result.output
        json.loads(result.stdout)


def test_weights_that_are_missing_or_damaged_end_with_exit_code_1(run, tiny_models, tmp_path):
    import shutil

    teacher = shutil.copytree(tiny_models / "teacher", tmp_path / "teacher")
    assert run("weights", "check", "--teacher", teacher).exit_code == 0
    assert run("weights", "fetch", "--teacher", teacher, "--json").exit_code == 0
    (shard, *_) = sorted(teacher.glob("model-*"))
    shard.write_bytes(b"")
    checked = run("weights", "check", "--teacher", teacher)
    assert checked.exit_code == 1
    assert f"damaged: remove {shard}" in checked.stderr
    shard.unlink()
    checked = run("weights", "check", "--teacher", teacher, "--json")
    assert checked.exit_code == 1
    assert "missing" in {one["state"] for one in json.loads(checked.stdout)}


def test_untrained_models_are_announced(run, photos, labelled):
    untrained = ("--clip", "ViT-S-32-alt@random")
    extracted = run("extract", photos, *untrained, "--teacher", "miniature", "--device", "cpu")
    assert "untrained" in extracted.stdout
    assert "untrained" in extracted.stderr
    fitted = run("fit-head", "--train", photos, *untrained, "--teacher", "miniature", "--batch-size", 16)
    assert "untrained" in fitted.stderr
    scored = run("evaluate", labelled, *untrained, "--prompts", "P-1", "--device", "cpu")
    assert "untrained" in scored.stdout
    assert "untrained" in run("cache", "list").stdout


def test_a_store_travels_through_hdf5(run, photos, tmp_path, monkeypatch):
    run("extract", photos, *MINI)
    (store,) = json.loads(run("cache", "list", "--json").stdout)
    exported = run("cache", "export", Path(store["path"]).stem, "store.h5")
    assert exported.exit_code == 0, exported.output
    monkeypatch.setenv("EXPCLIP_CACHE", str(tmp_path / "other"))
    assert run("cache", "import", "store.h5").exit_code == 0
    (imported,) = json.loads(run("cache", "list", "--json").stdout)
    assert {**imported, "path": ""} == {**store, "path": "", "bytes": imported["bytes"]}


@pytest.fixture
def small_sets(monkeypatch):
    """The built-in sets with a few members, drawn in this process."""
    import joblib

    small = {name: _with_count(one, count) for (name, one), count in zip(sets.SETS.items(), (60, 28, 7), strict=True)}
    monkeypatch.setattr(sets, "SETS", small)
    with joblib.parallel_config(backend="threading"):
        yield


def _with_count(one, count):
    return replace(one, count=count)


def test_the_demo_is_its_commands_given_one_by_one(run, small_sets, monkeypatch):
    from expclip.stages import demo

    steps = demo.demo_steps
    monkeypatch.setattr(demo, "demo_steps", lambda out: [(why, _in_small_batches(one)) for why, one in steps(out)])
    result = run("demo", "--out", "all at once")
    assert result.exit_code == 0, result.output
    for _, step in demo.demo_steps(Path("one by one")):
        assert step.command().replace("one by one", "all at once") in result.stderr
        assert run(*shlex.split(step.command())[1:]).exit_code == 0
    for name in ("scores.csv", "predictions/faces-test.parquet", "tables.md"):
        assert Path("all at once/results", name).read_bytes() == Path("one by one/results", name).read_bytes()


def _in_small_batches(request):
    return replace(request, batch_size=16) if request.verb == "fit-head" else request


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_leaves_finished_shards_and_exit_code_130(lab, tmp_path, save_face):
    folder = tmp_path / "many"
    save_face(folder / "0000.png", 1, 1, size=16)
    for k in range(1, 3500):
        os.link(folder / "0000.png", folder / f"{k:04d}.png")
    cache = lab.cache.root
    command = [sys.executable, "-m", "expclip", "extract", str(folder), *MINI, "--cache", str(cache), "--json"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list((cache / "many").glob("*.receipts/00000.json")):
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130, said
    assert (
        said.strip().splitlines()[-1].startswith("interrupted. Finished work is kept: run the same command to resume")
    )
    assert "Traceback" not in said
    finished = {path.name: path.stat().st_mtime_ns for path in (cache / "many").glob("*.receipts/*.json")}
    assert 1 <= len(finished) < 4
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["encoded"] == 3500 - 1024 * len(finished)
    after = {path.name: path.stat().st_mtime_ns for path in (cache / "many").glob("*.receipts/*.json")}
    assert {name: after[name] for name in finished} == finished
