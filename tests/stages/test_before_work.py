"""What is wrong with a request is said before the first image is decoded or the first model loaded."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from expclip import UsageError
from expclip.cli import app
from expclip.commands.demo import Demo
from expclip.commands.heads import ExportHead
from expclip.heads.saving import write_head
from expclip.stages.demo import demo
from expclip.stages.heads import export_head
from typer.testing import CliRunner

MINIATURE = {"clip": "miniature", "teacher": "miniature"}
SCORING = {"clip": "miniature", "prompts": "P-1"}
SMALL = {"epochs": 1, "batch_size": 16}


@pytest.fixture
def fitted(lab, photos):
    """A linear head on the cached features of the photos."""
    lab.extract(photos, **MINIATURE, instruction="related-1")
    (one,) = lab.fit_head(photos, **MINIATURE, seed=1, **SMALL)
    return one


@pytest.fixture
def idle(work, decoded):
    """Afterwards nothing was decoded, loaded or encoded since the last `work.clear()` and `decoded.clear()`."""
    yield lambda: (work.clear(), decoded.clear())
    assert not decoded
    assert not work


MISTAKES = {
    "an unknown head": ({"head": "linear"}, "write kind=linear"),
    "no such head": ({"head": "kind=ridge"}, "no head of the cache has the kind 'ridge': there is linear"),
    "prompts that do not exist": ({"prompts": "P-9"}, "no prompt set 'P-9'"),
    "a frame policy": ({"frames": "some"}, "frames 'some': choose released, edge, all, linspace-8 or every-4th-32"),
    "a backbone": ({"clip": "RN50"}, "name the weights too"),
    "a backbone beside another": ({"clip": ["miniature", "ViT-B-99@openai"]}, "open_clip knows no such architecture"),
    "a teacher": ({"text": "llm", "teacher": "nonsense"}, "teacher 'nonsense': choose"),
    "a teacher that nothing uses": ({"teacher": "nonsense"}, "teacher 'nonsense': choose"),
    "an instruction": (
        {"image": "llm", "text": "llm", "teacher": "miniature", "instruction": "nonsense"},
        "no instruction 'nonsense'",
    ),
    "an instruction that nothing uses": ({"instruction": "nonsense"}, "no instruction 'nonsense'"),
    "a data set beside another": ({"datasets": ["{labelled}", "rafdb"]}, "did you mean raf-db"),
    "a device": ({"device": "tpu"}, "choose cpu, cuda"),
    "sides without a head": ({"text": "llm", "head": "none"}, "only a head leads between them"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_an_evaluation_encodes_nothing(lab, fitted, labelled, idle, mistake):
    idle()
    change, said = MISTAKES[mistake]
    asked = {"datasets": [labelled]} | SCORING | change
    asked["datasets"] = [str(one).replace("{labelled}", str(labelled)) for one in asked["datasets"]]
    with pytest.raises(UsageError, match=said):
        lab.evaluate(**asked)


def test_a_head_that_fits_nowhere_encodes_nothing(lab, fitted, labelled, idle):
    idle()
    with pytest.raises(UsageError, match=rf"head {fitted.card.id}: head .* was trained on miniature features"):
        lab.evaluate(labelled, clip="ViT-S-32-alt@random", head=fitted.card.id)
    with pytest.raises(UsageError, match=r"\(released\); labelled has miniature features .* \(paper\)"):
        lab.evaluate(labelled, **SCORING, head="kind=linear", protocol="paper")


def exported(fitted, file: Path, weight: np.ndarray) -> Path:
    """A file that says that it is a head, but has another weight."""
    write_head(file, fitted.card, {"weight": weight.astype(np.float32)})
    return file


def test_a_head_of_another_width_encodes_nothing(lab, fitted, labelled, idle, tmp_path):
    idle()
    file = exported(fitted, tmp_path / "head.safetensors", np.ones((256, 96)))
    with pytest.raises(UsageError, match=r"head [0-9a-f]{12} does not take embeddings of 128 numbers"):
        lab.evaluate(labelled, **SCORING, head=file)


@pytest.mark.parametrize(("sides", "whose"), [({"text": "llm"}, "the T5"), ({"image": "llm"}, "e_G")])
def test_a_head_that_leads_elsewhere_than_to_its_teacher_encodes_nothing(
    lab, fitted, labelled, idle, tmp_path, sides, whose
):
    idle()
    file = exported(fitted, tmp_path / "head.safetensors", np.ones((40, 128)))
    with pytest.raises(UsageError, match=f"leads to 40 numbers, and {whose} of miniature has 256"):
        lab.evaluate(labelled, **SCORING, **sides, head=file)


def test_a_square_head_is_scored_in_clips_space_and_not_in_the_llms(lab, fitted, labelled, idle, tmp_path):
    square = tmp_path / "square.safetensors"
    export_head(ExportHead(head=fitted.card.id, file=square, square=True, cache=lab.cache.root))
    lab.evaluate(labelled, **SCORING, head=square)
    idle()
    with pytest.raises(UsageError, match="is a square form, which keeps cosines but not the LLM's space"):
        lab.evaluate(labelled, **SCORING, head=square, text="llm")


def test_a_teacher_that_is_not_here_is_said_before_images_are_encoded(
    lab, photos, labelled, tiny_models, idle, tmp_path
):
    teacher = shutil.copytree(tiny_models / "teacher", tmp_path / "mine")
    lab.extract(photos, clip="miniature", teacher=teacher)
    lab.fit_head(photos, clip="miniature", teacher=teacher, seed=1, **SMALL)
    shutil.rmtree(teacher)
    idle()
    for given in ({}, {"teacher": teacher}):
        with pytest.raises(UsageError, match="mine"):
            lab.evaluate(labelled, **SCORING, text="llm", head="kind=linear", **given)


def test_prompts_that_lack_a_class_of_the_last_data_set_encode_nothing(
    lab, labelled, clips, idle, tmp_path, save_face
):
    for name in ("happiness", "pain"):
        save_face(tmp_path / "pains" / name / "0.png", 1, 1)
    idle()
    with pytest.raises(UsageError, match="P-4 has no prompt for pain"):
        lab.evaluate([labelled, clips, tmp_path / "pains"], clip="miniature", prompts="P-4")


def test_where_no_head_leads_to_the_llm_nothing_is_encoded(lab, labelled, idle):
    idle()
    with pytest.raises(UsageError, match=r"no head of the cache matches.*only a head leads between them: fit one"):
        lab.evaluate(labelled, **SCORING, text="llm", teacher="miniature")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"instruction": "nonsense"}, "no instruction 'nonsense'"),
        ({"teacher": "nonsense"}, "teacher 'nonsense'"),
        ({"clip": "RN50"}, "name the weights too"),
        ({"frames": "some"}, "choose released, edge, all, linspace-8 or every-4th-32"),
        ({"datasets": ["{photos}", "rafdb"]}, "did you mean raf-db"),
    ],
)
def test_a_mistake_in_an_extraction_encodes_nothing_and_reads_no_data_set(
    lab, photos, idle, change, said, monkeypatch
):
    monkeypatch.setattr("expclip.pipeline.workspace.read_dataset", lambda *_: pytest.fail("a data set was read"))
    idle()
    asked = {"datasets": [photos], "clip": "miniature"} | change
    asked["datasets"] = [str(one).replace("{photos}", str(photos)) for one in asked["datasets"]]
    with pytest.raises(UsageError, match=said):
        lab.extract(**asked)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"instruction": "nonsense"}, "no instruction 'nonsense'"),
        ({"teacher": "nonsense"}, "teacher 'nonsense'"),
        ({"head": ["ridge", "linear"], "batch_size": 512}, "batch_size 512: a batch needs as many rows.* has 40"),
    ],
)
def test_a_mistake_in_fitting_fits_nothing(lab, photos, fitted, change, said):
    before = sorted(lab.cache.heads.iterdir())
    with pytest.raises(UsageError, match=said):
        lab.fit_head(photos, **MINIATURE | SMALL | change)
    assert sorted(lab.cache.heads.iterdir()) == before


def test_a_mistake_in_figures_draws_nothing(lab, labelled, fitted, idle, tmp_path):
    lab.evaluate(labelled, **SCORING)
    (tmp_path / "d.csv").write_text("sample_id,text\nnobody,smiles\n")
    (tmp_path / "bad.csv").write_text("who,what\n")
    idle()
    for change, said in (
        ({"descriptions": tmp_path / "d.csv"}, "has no sample 'nobody'"),
        ({"descriptions": tmp_path / "bad.csv"}, "must name the columns"),
        ({"descriptions": tmp_path / "none.csv"}, "cannot be read"),
        ({"kind": ["confusion", "retrieval"]}, "kind retrieval needs descriptions"),
        ({"head": "ridge"}, "write kind=ridge"),
        ({"frames": "some"}, "choose released, edge, all, linspace-8 or every-4th-32"),
    ):
        with pytest.raises(UsageError, match=said):
            lab.figures(labelled, **SCORING, out=tmp_path / "out", **change)
    assert not (tmp_path / "out").exists()


def test_a_mistake_in_the_tables_is_one_error_and_no_cell(lab, tmp_path):
    for change, said in (
        ({"test": "rafdb"}, "did you mean raf-db"),
        ({"clip": "RN50"}, "name the weights too"),
        ({"teacher": "nonsense"}, "teacher 'nonsense'"),
        ({"frames": "some"}, "choose released, edge, all, linspace-8 or every-4th-32"),
    ):
        with pytest.raises(UsageError, match=said):
            lab.reproduce("2", **change)


@pytest.mark.parametrize("table", ["extract", "evaluate", "figures", "reproduce"])
def test_an_unknown_frame_policy_in_the_configuration_is_an_error(tmp_path, monkeypatch, table):
    monkeypatch.chdir(tmp_path)
    Path("expclip.toml").write_text(f'[{table}]\nframes = "some"\n', encoding="utf-8")
    result = CliRunner().invoke(app, ["datasets", "list"])
    assert result.exit_code == 2
    assert (
        f"expclip.toml: {table}.frames 'some': choose released, edge, all, linspace-8 or every-4th-32"
        in result.stderr
    )


def places(tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "file").write_text("mine")
    return {
        "is a file": tmp_path / "file",
        "lies below a file": tmp_path / "file" / "below" / "out",
        "may not be written into": tmp_path / "locked" / "out",
    }


REFUSED = {
    "is a file": "this is a file; a folder is needed",
    "lies below a file": "file is a file, and nothing can lie below it",
    "may not be written into": "writing into .*locked is not permitted",
}


@pytest.fixture
def locked(tmp_path, monkeypatch):
    """A folder that may not be written into, for root neither."""
    from expclip.pipeline import checks

    folder, allowed = tmp_path / "locked", checks.os.access
    folder.mkdir()
    monkeypatch.setattr(checks.os, "access", lambda path, mode: Path(path) != folder and allowed(path, mode))
    return folder


@pytest.mark.parametrize("place", REFUSED)
@pytest.mark.parametrize("command", ["evaluate", "figures", "reproduce", "crop", "demo"])
def test_a_folder_that_cannot_be_written_is_refused_first(
    lab, labelled, locked, idle, tmp_path, monkeypatch, command, place
):
    monkeypatch.setattr("expclip.stages.crop.crop.detector", lambda name: pytest.fail("a detector was loaded"))
    out = places(tmp_path)[place]
    idle()
    calls = {
        "evaluate": lambda: lab.evaluate(labelled, **SCORING, out=out),
        "figures": lambda: lab.figures(labelled, **SCORING, out=out),
        "reproduce": lambda: lab.reproduce("1", out=out),
        "crop": lambda: lab.crop(labelled, out=out),
        "demo": lambda: demo(Demo(out=out)),
    }
    with pytest.raises(UsageError, match=REFUSED[place]) as told:
        calls[command]()
    assert str(told.value).startswith(f"out {out}")


def test_what_the_demo_writes_into_is_looked_at_before_its_first_command(idle, tmp_path):
    (tmp_path / "results").write_text("mine")
    idle()
    with pytest.raises(UsageError, match="results: this is a file; a folder is needed"):
        demo(Demo(out=tmp_path))


def test_a_head_is_not_read_for_a_file_that_cannot_be_written(lab, fitted, locked, tmp_path, monkeypatch):
    monkeypatch.setattr("expclip.stages.heads.load_head", lambda *_: pytest.fail("the head was read"))
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder.pth").mkdir()
    for file, said in (
        (tmp_path / "file" / "head.pth", "is a file, and nothing can lie below it"),
        (tmp_path / "folder.pth", "this is a folder; a file is needed"),
        (locked / "head.pth", "writing into .* is not permitted"),
    ):
        with pytest.raises(UsageError, match=said):
            export_head(ExportHead(head=fitted.card.id, file=file, cache=lab.cache.root))


def test_clip_encodes_no_prompts_that_only_the_llm_reads(lab, photos, labelled, work):
    miniature = {"clip": "miniature", "teacher": "miniature"}
    lab.extract(photos, **miniature, instruction="related-1")
    lab.fit_head(photos, **miniature, seed=1, epochs=1, batch_size=16)
    lab.evaluate(labelled, clip="miniature", teacher="miniature", text="llm", prompts="P-1", intervals=False)
    assert work["TextTower loaded"] == 0
