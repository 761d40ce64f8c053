"""Table 1's systems with a clip head: computed by the commands that are printed, from frames of their own."""

import shlex
from pathlib import Path

import pytest
from expclip.cli import app
from lab import Lab
from tiny_emoclip import tensors as emoclip_tensors
from tiny_emoclip import write_emoclip
from tiny_emotionclip import tensors, tiny_clip, tiny_head, write_emotionclip
from tiny_flava import tiny_flava, write_flava
from typer.testing import CliRunner

EMOTIONS = ("Happy", "Sad", "Neutral", "Angry", "Surprise", "Disgust", "Fear")


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """The working directory, with EmotionCLIP's file as it is downloaded."""
    monkeypatch.chdir(tmp_path)
    write_emotionclip(tmp_path / "emotionclip.pth", tensors(tiny_clip(), tiny_head()))
    return tmp_path


@pytest.fixture
def afew(lab, clips, here) -> Lab:
    """AFEW, of which seven clips are the test part."""
    for label, name in enumerate(EMOTIONS):
        (here / "AFEW" / "validation" / name).mkdir(parents=True)
        (here / "AFEW" / "validation" / name / f"clip {label}").symlink_to(clips.parent / f"clip {label}")
    return lab.but(root={"afew": here / "AFEW"}, test="afew")


def steps(done, word: str) -> list[str]:
    return [step.command for step in done.steps if f"{word} " in step.command or f"{word}@" in step.command]


def make(lab: Lab, commands: list[str]) -> None:
    """Run what a plan prints, on this data set."""
    for command in commands:
        words = shlex.split(command)[1:]
        words += ["--root", f"afew={lab.usual['root']['afew']}", "--device", "cpu"] if words[0] != "weights" else []
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output


def row(done, method: str):
    return next(one for table in done.tables for one in table.rows if one.row.method == method)


def test_emotionclip_is_computed_by_the_commands_of_an_empty_cache(afew):
    empty = afew.reproduce("1")
    commands, cache = steps(empty, "emotionclip"), f"--cache {afew.cache.root}"
    named = "--clip emotionclip@emotionclip.safetensors"
    assert commands == [
        "expclip weights convert emotionclip emotionclip.pth",
        f"expclip extract afew --features clip_image {named} --frames linspace-8 {cache}",
        f"expclip evaluate afew {named} --prompts P-3 --frames linspace-8 {cache}",
    ]
    assert "https://github.com/Xeaver/EmotionCLIP" in row(empty, "EmotionCLIP").remark
    make(afew, commands)
    done = afew.reproduce("1")
    (cell,) = row(done, "EmotionCLIP").cells
    (score,) = afew.evaluate(
        "afew", clip="emotionclip@emotionclip.safetensors", prompts="P-3", head="none", frames="linspace-8"
    ).scores
    assert (cell.uar[0], cell.war[0]) == pytest.approx((score.uar, score.war))
    assert score.of.zero_shot == "own clip head"
    assert cell.published == (14.86, 17.06)
    assert [(step.have, step.of) for step in done.steps if "emotionclip@" in step.command] == [(1, 1)] * 2


def test_rows_of_other_frames_are_filled_beside_it_whichever_was_extracted_last(afew, here):
    write_flava(tiny_flava(), here / "own-flava")
    make(afew, steps(afew.reproduce("1"), "emotionclip"))
    models = {"FLAVA": "flava@own-flava", "EmotionCLIP": "emotionclip@emotionclip.safetensors"}
    afew.evaluate("afew", clip=models["FLAVA"], prompts="P-3", head="none", intervals=False)
    for last in models.values():
        afew.extract("afew", clip=last)
        done = afew.reproduce("1", clip=tuple(models.values()))
        assert all(row(done, method).cells[0].uar for method in models)
        assert all(step.have == step.of for step in done.steps)


def test_emoclip_has_the_published_row_beside_it_and_says_that_its_weights_are_others(afew):
    write_emoclip(Path("emoclip.pth"), emoclip_tensors("whole"))
    commands = steps(afew.reproduce("1"), "emoclip")
    assert [one.split()[1] for one in commands] == ["weights", "extract", "evaluate"]
    assert all("--frames every-4th-32" in one for one in commands[1:])
    make(afew, commands)
    found = row(afew.reproduce("1"), "EmoCLIP")
    assert found.cells[0].uar
    assert found.cells[0].published == (36.13, 39.90)
    assert "were never released" in found.remark


def test_without_clips_no_frames_are_spoken_of(lab, here):
    assert not [one for one in steps(lab.reproduce("1", test="raf-db"), "emotionclip") if "--frames" in one]
