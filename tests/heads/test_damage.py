"""Heads on a disk that flips bits, loses power and is shared: what is read is what was written, or it is refused."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from expclip import UsageError
from expclip.aside import is_temporary
from expclip.cache.files import seal
from expclip.heads.card import as_imported
from expclip.heads.kept import find_head, heads_in
from expclip.heads.saving import (
    HeadCard,
    discard,
    head_id,
    known_card,
    load_head,
    problem_of,
    read_card,
    read_step_losses,
    save_head,
    write_head,
)
from safetensors.numpy import load_file, save_file

SPEC = {"head": "linear", "seed": 1}
WEIGHT = {"weight": np.arange(1, 7, dtype=np.float32).reshape(3, 2)}
LOSSES = [2.5, 1.25, 0.75]
NAMES = ("head.json", "head.safetensors", "losses.csv")


def card(**said) -> HeadCard:
    names = {"objective": "infonce", "backbone": "b", "clip_digest": "c", "teacher": "t", "instruction": "i"}
    rest = {"protocol": "released", "train": "photos", "seed": 1, "untrained": False, "spec": SPEC, "losses": [2.0]}
    usual = {"id": head_id(SPEC), "head": "linear"} | names | rest
    return HeadCard(**usual | said)


@pytest.fixture
def folder(tmp_path) -> Path:
    """A head in a cache."""
    return save_head(tmp_path / "heads", card(), WEIGHT, LOSSES)


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def meaning(path: Path) -> tuple:
    """All that anybody reads of a head. Raises where it is refused."""
    found = known_card(path)
    assert found is not None
    losses = read_step_losses(path) if path.is_dir() else None
    weight = load_head(path, found).weight_
    return asdict(found), weight.dtype, weight.tobytes(), None if losses is None else losses.tolist()


def flips(content: bytes):
    """The content with one byte changed, for every byte and several changes."""
    for place in range(len(content)):
        for mask in (0x01, 0x04, 0x10, 0x20, 0x80):
            changed = bytearray(content)
            changed[place] ^= mask
            yield bytes(changed)


@pytest.mark.parametrize("name", NAMES)
def test_a_flipped_bit_anywhere_in_a_head_is_noticed_or_changes_nothing(folder, name):
    whole, file = meaning(folder), folder / name
    content, noticed, changed = file.read_bytes(), 0, 0
    for changed_content in flips(content):
        file.write_bytes(changed_content)
        try:
            changed += meaning(folder) != whole
        except (UsageError, ValueError):
            noticed += 1
    assert changed == 0
    assert noticed > len(content)
    file.write_bytes(content)
    assert meaning(folder) == whole


def test_a_flipped_bit_anywhere_in_an_exported_head_is_noticed_or_changes_nothing(tmp_path):
    file = tmp_path / "a.safetensors"
    write_head(file, card(), WEIGHT)
    whole, content, changed = meaning(file), file.read_bytes(), []
    for other in flips(content):
        file.write_bytes(other)
        try:
            if read_card(file) is not None and meaning(file) != whole:
                changed.append(other)
        except (UsageError, ValueError):
            pass
    assert changed == []


@pytest.mark.parametrize("name", NAMES[:2])
@pytest.mark.parametrize("size", [0, 1, 50])
def test_a_head_that_was_cut_short_or_lost_a_file_is_replaced_when_it_is_saved(folder, name, size, capsys):
    content = (folder / name).read_bytes()
    for spoil in (lambda: (folder / name).write_bytes(content[:size]), (folder / name).unlink):
        spoil()
        assert problem_of(folder)
        assert save_head(folder.parent, card(), WEIGHT, LOSSES) == folder
        assert not problem_of(folder)
        assert names_in(folder.parent) == [folder.name]


def test_a_head_that_can_be_used_is_kept(folder):
    save_head(folder.parent, card(), {"weight": 2 * WEIGHT["weight"]})
    np.testing.assert_array_equal(load_file(folder / "head.safetensors")["weight"], WEIGHT["weight"])


SPOILT = {
    "NaN": np.full((3, 2), np.nan, np.float32),
    "infinite": np.full((3, 2), np.inf, np.float32),
    "zero": np.zeros((3, 2), np.float32),
    "a vector": np.ones(3, np.float32),
    "whole numbers": np.ones((3, 2), np.int32),
    "nothing": np.ones((0, 2), np.float32),
}


@pytest.mark.parametrize("how", SPOILT)
@pytest.mark.parametrize("is_known", [True, False])
def test_weights_that_are_none_do_not_load_whether_or_not_the_card_knows_them(folder, how, is_known):
    if is_known:
        discard(folder)
        save_head(folder.parent, card(), {"weight": SPOILT[how]})
    else:
        save_file({"weight": SPOILT[how]}, folder / "head.safetensors")
    assert problem_of(folder)
    with pytest.raises(UsageError, match="this linear head cannot be read"):
        load_head(folder, read_card(folder))


def test_weights_of_another_head_are_refused_though_they_fit(folder):
    save_file({"weight": 2 * WEIGHT["weight"]}, folder / "head.safetensors")
    with pytest.raises(UsageError, match="its weights changed since they were written"):
        load_head(folder, read_card(folder))


@pytest.mark.parametrize("lie", [{"seed": 2}, {"backbone": "x"}, {"weights": "0" * 64}, {"untrained": True}])
def test_a_card_that_was_changed_by_hand_is_damaged(folder, lie):
    content = json.loads((folder / "head.json").read_text())
    (folder / "head.json").write_text(json.dumps(content | lie))
    assert read_card(folder) is None
    assert [one.problem for one in heads_in(folder.parent)[1]] == [
        "it changed since it was written: its digest is another one"
    ]


def test_a_card_whose_id_is_not_the_digest_of_its_spec_is_damaged(folder):
    forged = asdict(card(spec=SPEC | {"seed": 7}))
    (folder / "head.json").write_text(json.dumps(seal(forged)))
    (damaged,) = heads_in(folder.parent)[1]
    assert "its id is not the digest of what its card says" in damaged.problem
    other = folder.rename(folder.with_name("0" * 12))
    (other / "head.json").write_text(json.dumps(seal(asdict(card()))))
    (damaged,) = heads_in(folder.parent)[1]
    assert f"it is the head {card().id}, under another name" in damaged.problem


def test_a_card_of_an_older_version_has_no_digest_and_is_taken(folder):
    new = asdict(read_card(folder))
    old = {name: new[name] for name in new if name not in ("weights", "step_losses", "imported", "original_id")}
    (folder / "head.json").write_text(json.dumps(old, indent=1))
    assert not problem_of(folder)
    assert heads_in(folder.parent) == ([(folder, read_card(folder))], [])
    assert read_step_losses(folder).tolist() == LOSSES


def test_what_is_no_head_is_nobodys_business_and_what_is_one_is_named(folder):
    heads = folder.parent
    for name in ("notes", "123456789abcd", ".hidden"):
        (heads / name).mkdir()
    (heads / "notes" / "card.json").write_text("{}")
    for name in (".DS_Store", "README", "0123456789ab"):
        (heads / name).write_text("x")
    assert heads_in(heads) == ([(folder, read_card(folder))], [])
    (heads / "abcdefabcdef").mkdir()
    (heads / "copy").mkdir()
    (heads / "copy" / "head.safetensors").write_bytes((folder / "head.safetensors").read_bytes())
    kept, damaged = heads_in(heads)
    assert [one.path.name for one in damaged] == ["abcdefabcdef", "copy"]
    assert [path for path, _ in kept] == [folder]
    assert all("\n" not in str(one) and f"`expclip heads rm {one.path}`" in str(one) for one in damaged)


def test_an_imported_head_is_found_by_the_id_that_it_had_unless_another_head_has_it(folder, tmp_path):
    file = tmp_path / "a.safetensors"
    write_head(file, card(), {"weight": -WEIGHT["weight"]})
    imported = as_imported(read_card(file), {"weight": -WEIGHT["weight"]})
    there = save_head(tmp_path / "there" / "heads", imported, {"weight": -WEIGHT["weight"]})
    assert imported.id not in (card().id, head_id(SPEC))
    assert find_head(card().id[:6], heads_in(there.parent)[0])[0] == there
    here = save_head(folder.parent, imported, {"weight": -WEIGHT["weight"]})
    kept, _ = heads_in(folder.parent)
    assert find_head(card().id, kept)[0] == folder
    assert find_head(imported.id, kept)[0] == here


def test_the_id_of_a_damaged_head_means_no_imported_head_that_claims_it(folder, tmp_path):
    write_head(tmp_path / "a.safetensors", card(), {"weight": -WEIGHT["weight"]})
    imported = read_card(tmp_path / "a.safetensors")
    save_head(folder.parent, imported, {"weight": -WEIGHT["weight"]})
    (folder / "head.json").unlink()
    with pytest.raises(UsageError, match=f"{folder}: this head is damaged"):
        find_head(card().id, *heads_in(folder.parent))


def test_an_imported_head_is_no_further_seed_of_the_fitted_ones(folder):
    fitted = read_card(folder)
    imported, other = as_imported(fitted, WEIGHT), as_imported(card(spec=SPEC | {"seed": 2}), WEIGHT)
    assert imported.recipe == other.recipe != fitted.recipe


def test_a_head_that_may_not_be_read_is_not_replaced(folder, monkeypatch):
    def refuse(path, *_):
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patched:
        patched.setattr("expclip.heads.saving.read_bytes", refuse)
        with pytest.raises(UsageError, match=r"this head may not be read .*: ask its owner to permit it"):
            save_head(folder.parent, card(), {"weight": 2 * WEIGHT["weight"]})
        assert names_in(folder.parent) == [folder.name]
    np.testing.assert_array_equal(load_file(folder / "head.safetensors")["weight"], WEIGHT["weight"])


def test_a_card_that_says_imported_does_not_take_the_place_of_a_fitted_head(folder):
    forged = replace(read_card(folder), imported=True)
    (folder / "head.json").write_text(json.dumps(seal(asdict(forged))))
    assert "its id is not the digest" in problem_of(folder)


@pytest.mark.skipif(os.name == "nt", reason="needs a umask")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_a_heads_files_are_as_open_as_the_umask_says(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        folder = save_head(tmp_path, card(), WEIGHT, LOSSES)
    finally:
        os.umask(before)
    assert {name: (folder / name).stat().st_mode & 0o777 for name in NAMES} == dict.fromkeys(NAMES, mode)


def test_the_card_appears_when_all_else_is_on_the_disk(tmp_path, monkeypatch):
    flushed: list[int] = []
    fsync, replaced = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (flushed.append(os.fstat(handle).st_ino), fsync(handle))[1])
    before_card = []

    def replacing(self, target):
        if Path(target).name == "head.json":
            before_card.extend(flushed)
            assert {(self.parent / name).stat().st_ino for name in NAMES[1:]} <= set(flushed)
        return replaced(self, target)

    monkeypatch.setattr(Path, "replace", replacing)
    folder = save_head(tmp_path, card(), WEIGHT, LOSSES)
    assert before_card
    assert folder.stat().st_ino in flushed
    assert tmp_path.stat().st_ino in flushed


@pytest.mark.parametrize("is_damaged", [True, False])
def test_two_that_save_the_same_head_at_once_leave_one(tmp_path, is_damaged):
    for _ in range(10):
        folder = tmp_path / card().id
        if is_damaged:
            folder.mkdir(exist_ok=True)
            (folder / "head.json").write_text("")
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda _: save_head(tmp_path, card(), WEIGHT, LOSSES), range(2)))
        assert not problem_of(folder)
        assert names_in(tmp_path) == [folder.name]
        discard(folder)


# Each child saves a head where there is none, or a damaged one, and dies without a chance to clean up at its n-th
# access to the disk. The last child survives.
SCRIPT = """
import json, os, sys
from pathlib import Path
import numpy as np
import psutil
from expclip.aside import Process
from expclip.heads.saving import HeadCard, save_head, problem_of

root, said = Path(sys.argv[1]), json.loads(sys.argv[2])
weight, accesses, die_at = {"weight": np.ones((3, 2), np.float32)}, 0, None
EVENTS = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.listdir", "os.scandir")

def count(event, arguments):
    global accesses
    if die_at is not None and event in EVENTS:
        accesses += 1
        if accesses == die_at:
            os._exit(9)

save_head(root / "warm", HeadCard(**said), weight, [1.0])
problem_of(root / "warm" / said["id"])
sys.addaudithook(count)
for n in range(1, 1000):
    child = os.fork()
    if not child:
        Process.this()
        die_at = n
        save_head(root / str(n), HeadCard(**said), weight, [1.0])
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
        print(n)
        break
"""


@pytest.mark.skipif(os.name == "nt", reason="needs fork")
@pytest.mark.parametrize("is_damaged", [True, False])
def test_killed_at_any_access_to_the_disk(tmp_path, is_damaged):
    weight = {"weight": np.ones((3, 2), np.float32)}
    for n in range(1, 200) if is_damaged else ():
        (tmp_path / str(n) / card().id).mkdir(parents=True)
        (tmp_path / str(n) / card().id / "head.json").write_text("")
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), json.dumps(asdict(card()))]
    survived = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert 10 < survived < 200
    left = 0
    for n in range(1, survived + 1):
        heads = tmp_path / str(n)
        kept, damaged = heads_in(heads)
        assert all(not problem_of(path) for path, _ in kept)
        assert is_damaged or not damaged
        left += heads.is_dir() and any(is_temporary(name) for name in names_in(heads))
        save_head(heads, card(), weight)
        assert names_in(heads) == [card().id]
        assert not problem_of(heads / card().id)
    assert left
