"""An option that was typed and changes nothing is said, what expclip.toml says never is."""

from pathlib import Path

import expclip
import pytest
from expclip.cli import app
from expclip.commands.command import Command
from expclip.commands.evaluate import Evaluate
from expclip.commands.extract import Extract
from expclip.commands.request import from_typed
from expclip.settings import read_settings
from typer.testing import CliRunner

MINI = ["--clip", "miniature"]
NO_CLIPS = "none of these data sets has clips, so it changes nothing"
LLM = ["--image", "llm", "--text", "llm", "--teacher", "miniature"]


def test_a_request_knows_what_was_given_and_how_it_is_spelled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("expclip.toml").write_text('[defaults]\ndevice = "cpu"\n[extract]\nframes = "edge"\n', encoding="utf-8")
    typed = {"datasets": ["photos"], "batch_size": "3", "clip": [], "frames": None}
    request = from_typed(Extract, typed, read_settings())
    assert (request.typed, request.frames) == ({"datasets": "--datasets", "batch_size": "--batch-size"}, "edge")
    assert request == Extract("photos", batch_size=3, frames="edge", device="cpu")
    assert Extract("photos").typed == {}


def test_a_notebook_gives_what_its_keywords_name(monkeypatch):
    seen = []
    monkeypatch.setattr(Command, "do", lambda self, request: seen.append(request.typed))
    expclip.evaluate("photos", frames="edge")
    assert seen == [{"datasets": "datasets", "frames": "frames"}]


@pytest.fixture
def noted(tmp_path, monkeypatch, lab):
    """The notes that a command ends with on a cache that stays."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EXPCLIP_CACHE", str(lab.cache.root))

    def notes(*words) -> list[str]:
        result = CliRunner().invoke(app, [str(word) for word in words])
        assert result.exit_code == 0, result.output
        return [line.removeprefix("note: ") for line in result.stderr.splitlines() if line.startswith("note: ")]

    return notes


def test_what_changes_nothing_in_an_extraction(noted, photos, clips):
    extract = ["extract", photos, *MINI, "--plan"]
    assert noted(*extract, "--workers", 2, "--batch-size", 3, "--device", "cpu", "--executor", "local") == []
    assert noted(*extract, "--frames", "edge") == [f"--frames edge: {NO_CLIPS}"]
    assert noted(*extract, clips, "--frames", "edge") == []
    assert noted(*extract, "--features", "clip_image", "--teacher", "miniature", "--instruction", "empty") == [
        "--teacher miniature: none of these features is a teacher's, so it changes nothing",
        "--instruction empty: none of these features is a teacher's, so it changes nothing",
    ]
    assert noted(*extract, "--features", "query_tokens", "--teacher", "miniature", "--instruction", "empty") == [
        "--clip miniature: none of these features is CLIP's, so it changes nothing",
        "--instruction empty: none of these features depends on it, so it changes nothing",
    ]
    roots = ["--root", "raf-db=/data/RAF-DB", "--root", "dfew=/data/DFEW"]
    assert noted(*extract, *roots) == [
        f"--root {root}: {root.split('=')[0]} is not among the data sets of this command, so it changes nothing"
        for root in roots[1::2]
    ]


def test_what_the_file_says_is_never_said(noted, photos, labelled):
    for name in ("extract", "evaluate", "figures", "reproduce"):
        Path("expclip.toml").write_text(f'[{name}]\nframes = "edge"\n[roots]\nraf-db = "/x"\n', encoding="utf-8")
    assert noted("extract", photos, *MINI, "--plan") == []
    Path("expclip.toml").write_text(
        '[evaluate]\nframes = "edge"\nensemble = "embeddings"\n[defaults]\nteacher = "miniature"\n', encoding="utf-8"
    )
    assert noted("evaluate", labelled, *MINI, "--prompts", "P-1", "--out", "none") == []


def test_what_changes_nothing_in_an_evaluation(noted, lab, photos, labelled, clips):
    lab.extract(photos, clip="miniature", teacher="miniature")
    lab.fit_head(photos, clip="miniature", teacher="miniature", seed=1, epochs=1, batch_size=16)
    evaluate = ["evaluate", labelled, *MINI, "--no-intervals", "--out", "none", "--prompts"]
    assert noted(*evaluate, "P-1", "--frames", "all") == [f"--frames all: {NO_CLIPS}"]
    assert noted(*evaluate, "P-1", clips, "--frames", "edge") == []
    assert noted(*evaluate, "P-1", "--ensemble", "embeddings") == [
        "--ensemble embeddings: every class has one prompt, so it changes nothing"
    ]
    assert noted(*evaluate, "P-1", "--prompts", "P-5", "--ensemble", "embeddings") == []
    by_clip = "CLIP encodes images and prompts, so it changes nothing"
    assert noted(*evaluate, "P-1", "--teacher", "miniature", "--instruction", "empty") == [
        f"--teacher miniature: {by_clip}",
        f"--instruction empty: {by_clip}",
    ]
    bridged = [*evaluate, "P-1", "--text", "llm"]
    assert noted(*bridged, "--teacher", "miniature") == []
    assert noted(*bridged, "--teacher", "blip2-flan-t5-xl", "--instruction", "empty") == [
        "--instruction empty: every head brings the instruction that it learnt from, so it changes nothing",
        "--teacher blip2-flan-t5-xl: every head brings the teacher that it learnt from, and this is none of them, so "
        "it changes nothing",
    ]
    alone = "the LLM encodes images and prompts, and no head is needed, so it changes nothing"
    assert noted(*evaluate, "P-1", *LLM, "--instruction", "related-1", "--head", "seed=1") == [
        f"--clip miniature: {alone}",
        f"--head seed=1: {alone}",
    ]
    left_out = "image clip with text llm: left out, as no head that is scored leads from CLIP's space to the LLM's"
    assert noted(*evaluate, "P-1", "--text", "clip", "--text", "llm", "--head", "none") == [left_out]
    figures = ["figures", labelled, *MINI, "--prompts", "P-1", "--kind", "variance"]
    assert noted(*figures, "--seed", 3, "--kind", "samples") == []
    assert noted(*figures, "--frames", "edge", "--ensemble", "logits", "--seed", 3) == [
        "--seed 3: none of these figures is drawn at random, so it changes nothing",
        f"--frames edge: {NO_CLIPS}",
        "--ensemble logits: every class has one prompt, so it changes nothing",
    ]


def test_what_changes_nothing_in_fitting(noted, lab, photos):
    lab.extract(photos, clip="miniature", teacher="miniature")
    fit = ["fit-head", "--train", photos, *MINI, "--teacher", "miniature", "--head"]
    steps = "none of these heads (ridge) is trained step by step, so it changes nothing"
    assert noted(*fit, "ridge", "--seed", 1, "--seed", 2, "--epochs", 3, "--objective", "infonce") == [
        f"--seed 1, 2: {steps}",
        f"--epochs 3: {steps}",
        "--objective infonce: none of these heads (ridge) has a choice of it, so it changes nothing",
    ]
    assert noted(*fit, "linear", "--seed", 1, "--batch-size", 16, "--epochs", 1, "--ridge-lambda", 0.5) == [
        "--ridge-lambda 0.5: none of these heads (linear) is fitted in closed form, so it changes nothing"
    ]
    both = [*fit, "linear", "--head", "ridge", "--seed", 1, "--batch-size", 16, "--epochs", 1]
    assert noted(*both, "--ridge-lambda", 0.5, "--objective", "infonce") == []


def test_what_changes_nothing_in_the_tables(noted, lab, labelled):
    lab.extract(labelled, clip="miniature")
    tables = ["reproduce", "2", *MINI, "--frames", "edge", "--test"]
    assert noted(*tables, "raf-db", "--test", labelled) == [f"--frames edge: {NO_CLIPS}"]
    assert noted(*tables, "raf-db", "--test", "dfew") == []


def test_python_is_told_the_name_of_the_parameter(lab, labelled, capsys):
    lab.evaluate(labelled, clip="miniature", prompts="P-1", frames="edge")
    assert f"note: frames edge: {NO_CLIPS}" in capsys.readouterr().err
    lab.evaluate(labelled, clip="miniature", prompts="P-1")
    assert "note: frames" not in capsys.readouterr().err
    assert Evaluate(labelled, frames="edge").typed == {}
