"""Names that others gave never command a terminal, a shell, a table or a spreadsheet."""

import ast
import csv
import os
import pty
import re
import select
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from expclip import UsageError
from expclip.cli import app
from expclip.commands.extract import Extract
from expclip.errors import HIDDEN, bounded, quoted, shown
from typer.testing import CliRunner

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m[red]:smile:\u202egpj\u2028‮\x7f\r\nnext"
NAME = HOSTILE.replace("\n", "").replace("\r", "")
MINI = ("--clip", "miniature", "--device", "cpu")
COMMANDED = re.compile(HIDDEN.pattern.replace("\x00-\x1f", "\x00-\x09\x0b-\x1f"))
"""What no line may hold."""


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        result = CliRunner().invoke(app, [str(one) for one in arguments])
        assert not COMMANDED.search(result.stdout + result.stderr), repr(COMMANDED.search(result.output))
        assert "Traceback" not in result.output
        return result

    return run


@pytest.fixture
def hostile(tmp_path, save_face):
    """A folder of faces with two classes, whose every name is hostile; one file is no picture."""
    folder = tmp_path / f"data{NAME}"
    for label, kind in enumerate((f"=cmd|{NAME}", f"<img onerror=1>|`[a](b) {NAME}")):
        for k in range(2):
            save_face(folder / kind / f"=1+{k}{NAME}.png", 5, k + 2 * label, label, size=32)
    (folder / f"=cmd|{NAME}" / f"broken{NAME}.png").write_bytes(b"no picture")
    return folder


def test_a_whole_run_over_hostile_names_shows_none_of_them_raw(run, hostile, tmp_path):
    prompts = tmp_path / f"[bold]{NAME}.txt"
    prompts.write_text("a face of {class}")
    assert run("extract", hostile, *MINI).exit_code == 3
    assert run("extract", hostile, *MINI, "--plan").exit_code == 0
    scored = run("evaluate", hostile, *MINI, "--prompts", prompts, "--predictions", "csv", "--figures")
    assert scored.exit_code == 3, scored.output
    assert "[bold]" in scored.stdout  # markup is text
    assert run("datasets", "audit", hostile).exit_code == 3
    assert run("cache", "list").exit_code == 0
    assert run("figures", hostile, "--clip", "miniature", "--prompts", prompts).exit_code == 0
    assert run("fit-head", "--train", hostile, "--clip", "miniature", "--teacher", "miniature").exit_code == 2
    assert run("reproduce", "5", "--test", hostile, "--train", hostile).exit_code == 0
    for file in (tmp_path / "expclip-results").glob("*.csv"):
        file.read_bytes().decode("utf-8")
        with file.open(newline="", encoding="utf-8") as text:
            cells = [cell for row in csv.reader(text) for cell in row]
        assert cells and not [cell for cell in cells if cell.lstrip("\"'")[:1] in tuple("=+@\t\r") and cell[0] != "'"]
    tables = (tmp_path / "expclip-results" / "tables.md").read_text(encoding="utf-8")
    assert not COMMANDED.search(tables)
    assert len({line.count("|") for line in tables.splitlines() if line.startswith("|")}) == 1


@pytest.mark.parametrize(
    "words",
    [
        ["extract", NAME],
        ["extract", "x", f"--{NAME}"],
        [NAME],
        ["cache", NAME],
        ["extract", "x", "--clip", NAME],
        ["extract", "x", "--batch-size", NAME],
        ["extract", "x", "--root", NAME, "--cache", NAME],
        ["evaluate", "x", "--prompts", NAME],
        ["heads", "import", NAME],
        ["cache", "import", NAME],
        ["crop", NAME, "--out", "out"],
    ],
)
def test_what_is_typed_is_shown_without_its_controls(run, words):
    assert run(*words).exit_code == 2


def test_what_a_configuration_file_says_is_shown_without_its_controls(run):
    Path("expclip.toml").write_text('"a\\u001b[31m" = "b\\u001b]0;x\\u0007"\n')
    assert run("datasets", "list").exit_code == 2


def test_every_line_is_written_by_one_module():
    root = Path(__file__).parent.parent
    writers = set()
    packages = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    rooms = [root.joinpath(*name.split(".")[1:]) for name in packages]
    for path in (path for room in rooms for path in room.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                if name in ("print", "Console", "typer.echo", "click.echo", "sys.stdout.write", "sys.stderr.write"):
                    writers.add(str(path.relative_to(root)))
    assert writers == {"reports/console.py"}


@pytest.mark.parametrize("word", [HOSTILE, "a'b\x1b", "$(touch owned)\n", "\udcff", "é\u202e", "`touch owned`"])
def test_a_command_that_is_printed_is_what_it_was_when_it_is_pasted(tmp_path, word):
    asked = Extract(datasets=(word,), clip=("miniature",)).command()
    assert not HIDDEN.search(asked)
    said = subprocess.run(
        ["bash", "-c", asked.replace("expclip extract", "printf '%s\\0'", 1)],
        cwd=tmp_path, capture_output=True, check=True, env=os.environ | {"LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert said.stdout.split(b"\0")[0] == os.fsencode(word)
    assert not list(tmp_path.iterdir())


def test_ordinary_words_are_quoted_as_ever():
    for word in ("a b", "plain", "it's", "naïve 顔", "a\u200db"):
        assert quoted(word) == shlex.quote(word)
        assert shown(word) == word


def test_a_message_is_bounded_and_keeps_its_beginning_and_what_to_do():
    error = UsageError(f"a.txt:1: found {'x' * 10**6}: correct the line")
    assert len(str(error)) < 4000
    assert str(error).startswith("a.txt:1: found xxx")
    assert str(error).endswith("xxx: correct the line")
    command = bounded(f"run `expclip extract {'x' * 10**6} ; touch owned`")
    assert len(command) < 4000
    assert "owned" not in command


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_bars_on_a_terminal_show_no_control_of_a_name(hostile, tmp_path):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "expclip", "extract", str(hostile), *MINI, "--workers", "1"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=theirs, stderr=theirs, env=os.environ | {"TERM": "xterm"}
    )
    os.close(theirs)
    seen = b""
    while process.poll() is None or select.select([ours], [], [], 0)[0]:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                seen += os.read(ours, 65536)
            except OSError:
                break
    os.close(ours)
    assert b"\x1b[" in seen  # bars and styles were there
    assert b"owned\x07" not in seen and b"\x1b]" not in seen and b"\x1b[2J" not in seen.replace(b"\x1b[2K", b"")
    assert "\u202e" not in seen.decode("utf-8", "replace")
