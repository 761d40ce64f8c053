"""The house itself: imports run downwards, and the wheel holds what git tracks."""

import ast
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

FLOORS = {
    "errors": 0,
    "aside": 0,
    "interruption": 0,
    "lazy": 0,
    "untrusted": 0,
    "settings": 1,
    "manifests": 1,
    "cache": 2,
    "encoders": 3,
    "scoring": 3,
    "heads": 4,
    "reports": 4,
    "commands": 5,
    "pipeline": 6,
    "stages": 7,
    "cli": 8,
}
"""A module may import from its own room and from lower floors."""

ROOMS = tuple(sorted(path.parent.name for path in ROOT.glob("*/__init__.py") if path.parent.name in FLOORS))
WORKSHOPS = ("training", "benchmarks")
"""Rooms that are not installed."""


def modules() -> list[Path]:
    return [*ROOT.glob("*.py"), *(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))]


def imported_rooms(path: Path) -> set[str]:
    """Rooms of the package that a module imports from, its own among them."""
    here = path.relative_to(ROOT).parts[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = here[: len(here) - node.level + 1]
            target = (*base, *(node.module or "").split("."))
            names = [alias.name for alias in node.names] if target == ("",) else [target[0]]
            found |= {name for name in names if name}
    return found


def test_imports_run_downwards():
    upwards = [
        f"{path.relative_to(ROOT)} imports {room}"
        for path in modules()
        for room in imported_rooms(path)
        if (here := path.relative_to(ROOT).parts[0].removesuffix(".py")) in FLOORS
        and room != here
        and FLOORS.get(room, -1) >= FLOORS[here]
    ]
    assert upwards == []


def test_a_room_is_found_by_its_name_alone():
    """But for the commands, which have a request and a stage each, no name of a file stands in two rooms."""
    commands = {path.stem for path in (ROOT / "stages").iterdir()}
    rooms: dict[str, set[str]] = {}
    for path in [*modules(), *(path for room in WORKSHOPS for path in (ROOT / room).rglob("*.py"))]:
        room, *inner = path.relative_to(ROOT).parts
        if inner and path.stem not in {*commands, "__init__", "__main__"}:
            rooms.setdefault(path.stem, set()).add(room)
    assert {name: where for name, where in rooms.items() if len(where) > 1} == {}


def test_functions_and_files_are_short():
    sizes = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert {str(path.relative_to(ROOT)): size for path, size in sizes.items() if size > 350} == {}
    assert sizes[ROOT / "cli.py"] <= 200
    long = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= 40
    ]
    assert long == []


def test_rooms_are_never_imported_by_their_bare_names():
    """With the root as working directory `import cache` would find our folder, as a second copy."""
    bare = []
    for path in [*modules(), *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names.append(node.module or "")
            bare += [(path.name, name) for name in names if name.split(".")[0] in FLOORS]
    assert bare == []


def test_the_package_list_names_every_room():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    named = set(project["tool"]["setuptools"]["packages"])
    rooms = {path.parent.relative_to(ROOT) for path in modules()}
    assert named == {".".join(("expclip", *room.parts)) for room in rooms}


def test_the_wheel_holds_exactly_what_git_tracks_of_the_package(tmp_path):
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is no git checkout")
    tracked = [Path(name) for name in listed.stdout.split("\0") if name]
    ours = {path for path in tracked if path.parts[0] in ROOMS or (len(path.parts) == 1 and path.suffix == ".py")}
    copy = tmp_path / "checkout"  # building leaves files behind
    for path in {*ours, Path("pyproject.toml"), Path("README.md"), Path("LICENSE")}:
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        (copy / path).write_bytes((ROOT / path).read_bytes())
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(copy)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {Path(name) for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == {Path("expclip") / path for path in ours}
