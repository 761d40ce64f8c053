"""Habits of a terminal: help that is whole however narrow, words completed by the shell, quiet commands."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from expclip.cli import app, typed
from expclip.commands import COMMANDS, GROUPS
from rich.filesize import decimal
from rich.markdown import Markdown
from test_imports import HEAVY
from typer.testing import CliRunner


def without_spaces(text: str) -> str:
    """What is read, wherever lines end and boxes are drawn."""
    return "".join(text.translate(str.maketrans("", "", "│╭╮╰╯─`")).split())


def plain(markdown: str) -> str:
    """A text without its marks."""
    return "".join(token.content for block in Markdown(markdown).parsed for token in block.children or ())


@pytest.mark.parametrize("width", ["80", "60"])
@pytest.mark.parametrize("verb", COMMANDS)
def test_the_help_of_a_command_is_whole_on_a_narrow_terminal(verb, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", width)
    shown = CliRunner().invoke(app, [*verb.split(), "--help"])
    assert shown.exit_code == 0
    assert max(map(len, shown.stdout.splitlines())) <= int(width)
    read = without_spaces(shown.stdout)
    for one in typed(verb).params:
        wanted = [*one.opts, *one.secondary_opts] if one.param_type_name == "option" else []
        wanted += [one.metavar or "", plain(one.help)]
        assert [text for text in wanted if without_spaces(text) not in read] == []


@pytest.mark.parametrize("width", ["80", "60"])
@pytest.mark.parametrize("group", ["", *GROUPS])
def test_the_list_of_commands_is_whole_on_a_narrow_terminal(group, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", width)
    shown = without_spaces(CliRunner().invoke(app, [*group.split(), "--help"]).stdout)
    inner = {verb: about for verb, (_, about) in COMMANDS.items() if verb.split()[:-1] == group.split()}
    for verb, about in (inner if group else inner | GROUPS).items():
        assert without_spaces(verb.split()[-1] + about) in shown
    assert "…" not in shown


def completed(shell: str, typed: str) -> tuple[list[str], set[str]]:
    """What a shell is told for words, of which the last is not whole yet, and the heavy libraries that it costs."""
    code = (
        "import sys\nfrom expclip.cli import app\ntry:\n    app(prog_name='expclip')\nfinally:\n"
        f"    print(*sorted({HEAVY!r} & sys.modules.keys()), file=sys.stderr)"
    )
    asked = {"_EXPCLIP_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    asked |= {"COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" ")), "_TYPER_COMPLETE_ARGS": typed}
    how = {"env": os.environ | asked, "capture_output": True, "text": True}
    ran = subprocess.run([sys.executable, "-c", code], check=True, **how)
    return ran.stdout.split(), set(ran.stderr.split())


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("expclip ev", ["evaluate"]),
        ("expclip cache ver", ["verify"]),
        ("expclip extract --proto", ["--protocol"]),
        ("expclip extract somewhere --protocol ", ["released", "paper", "native", "own"]),
        ("expclip crop --face c", ["central"]),
        ("expclip weights convert openai", ["openai-jit"]),
        ("expclip extract ./pic", []),
    ],
)
def test_a_shell_completes_commands_options_and_choices_and_loads_no_heavy_library(words, answer):
    assert completed("bash", words) == (answer, set())


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_complete_too(shell):
    told, libraries = completed(shell, "expclip extract --executor ")
    assert all(any(word in one for one in told) for word in ("local", "dask", "auto"))
    assert libraries == set()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_is_shown(shell, monkeypatch):
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    shown = CliRunner().invoke(app, ["--show-completion", shell], prog_name="expclip")
    assert shown.exit_code == 0
    assert f"_EXPCLIP_COMPLETE=complete_{shell}" in shown.stdout


MINI = ("--clip", "miniature", "--device", "cpu")
TEACHER = ("--teacher", "miniature")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a command in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(app, list(map(str, words)))


@pytest.mark.parametrize("verb", COMMANDS)
def test_every_command_can_be_quiet(verb):
    assert [one.is_flag for one in typed(verb).params if one.opts == ["--quiet"]] == [True]


def test_a_quiet_command_says_on_stdout_what_it_does_otherwise_and_nothing_on_stderr(run, labelled):
    for words in (
        ("extract", labelled, *MINI, *TEACHER, "--frames", "all"),
        ("extract", labelled, "--clip", "ViT-S-32-alt@random", "--device", "cpu"),
        ("fit-head", "--train", labelled, "--clip", "miniature", *TEACHER, "--batch-size", 8, "--seed", 1),
        ("evaluate", labelled, *MINI, "--prompts", "P-1", "--head", "none", "--out", "loud"),
        ("cache", "list"),
        ("cache", "verify"),
        ("datasets", "audit", labelled),
    ):
        quiet = run(*words, "--quiet", *(("--cache", "quiet") if words[0] != "datasets" else ()))
        loud = run(*words, *(("--cache", "loud") if words[0] != "datasets" else ()))
        assert (quiet.exit_code, quiet.stderr) == (0, "")
        assert len(quiet.stdout.splitlines()) == len(loud.stdout.splitlines())


def test_a_quiet_command_still_says_what_failed(run, labelled, tmp_path):
    (tmp_path / "some").mkdir()
    (tmp_path / "some/whole.png").write_bytes(next(labelled.rglob("*.png")).read_bytes())
    (tmp_path / "some/empty.png").touch()
    failed = run("extract", "some", *MINI, "--quiet")
    assert failed.exit_code == 3
    assert [line.split()[:2] for line in failed.stderr.splitlines()] == [["failed:", "some:"], ["1", "rows"]]
    mistaken = run("extract", Path("nowhere"), *MINI, "--quiet")
    assert mistaken.exit_code == 2
    assert mistaken.stderr.startswith("error: ")
    assert "extract: " in run("extract", "some", *MINI, "--protocol", "paper").stderr  # the next one is as ever


def test_every_long_work_without_a_terminal_is_said_by_lines(run, labelled, monkeypatch):
    from expclip.pipeline import progress

    monkeypatch.setattr(progress, "EVERY", 0.0)
    paths = [one.relative_to(labelled) for one in labelled.rglob("*.png")]
    Path("boxes.txt").write_text("".join(f"{path} 0 0 30 30\n" for path in paths), encoding="utf-8")
    for words, said in (
        (("extract", labelled, *MINI, *TEACHER), "extract: "),
        (("fit-head", "--train", labelled, *MINI[:2], *TEACHER, "--batch-size", 8, "--seed", 1), "fit linear"),
        (("datasets", "audit", labelled, "--workers", 0), "reading: "),
        (("extract", labelled, *MINI, "--hash"), "reading labelled: "),
        (("crop", labelled, "--out", "crops", "--boxes", "boxes.txt", "--workers", 0), "cropping: "),
    ):
        lines = run(*words).stderr.splitlines()
        assert [line for line in lines if line.startswith(said) and line.endswith(" left")], lines


def new_caches(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.startswith("new cache here: ")]


def test_a_cache_that_is_begun_is_announced_once_and_before_its_first_row(run, labelled, tmp_path):
    planned = run("extract", labelled, *MINI, "--plan", "--cache", "mine")
    assert new_caches(planned.stderr) == []
    begun = run("extract", labelled, *MINI, "--cache", "mine")
    assert new_caches(begun.stderr) == [f"new cache here: {tmp_path / 'mine'}"]
    assert begun.stderr.index("new cache here") < begun.stderr.index("rows to encode")
    again = run("extract", labelled, *MINI, *TEACHER, "--cache", "mine")
    assert new_caches(again.stderr) == []


def test_a_cache_among_other_files_is_announced_once_too(run, labelled, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/holiday.txt").touch()
    said = [run("extract", labelled, *MINI, "--cache", "mine").stderr for _ in range(2)]
    assert [len(new_caches(one)) for one in said] == [1, 0]


def test_what_is_brought_into_an_empty_cache_begins_it(run, labelled, tmp_path):
    run("extract", labelled, *MINI, "--cache", "one")
    store = next((tmp_path / "one/labelled").glob("clip_image-*.zarr")).stem
    run("cache", "export", store, "store.h5", "--cache", "one")
    said = [run("cache", "import", "store.h5", "--cache", "two").stderr for _ in range(2)]
    assert [len(new_caches(one)) for one in said] == [1, 0]


def test_a_cache_for_the_moment_is_not_announced(run, labelled, tmp_path):
    picture = next(labelled.rglob("*.png"))
    predicted = run("predict", picture, *MINI, "--head", "none", "--cache", "mine")
    assert predicted.exit_code == 0, predicted.stderr
    assert new_caches(predicted.stderr) == [f"new cache here: {tmp_path / 'mine'}"]  # where the prompts stay


def test_the_list_of_a_cache_sums_up_its_sizes(run, labelled, tmp_path):
    run("extract", labelled, *MINI, *TEACHER)
    stores = json.loads(run("cache", "list", "--json").stdout)
    sizes = [sum(one.stat().st_size for one in Path(store["path"]).rglob("*") if one.is_file()) for store in stores]
    assert [store["bytes"] for store in stores] == sizes
    *_, total = run("cache", "list").stdout.splitlines()
    assert total == f"3 stores, {decimal(sum(sizes))}"
