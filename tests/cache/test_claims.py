"""Claims: one maker at a time, dead ones replaced at once, silent ones after a while by the clock of who looks."""

import errno
import json
import os
import subprocess
import sys
from dataclasses import asdict

import pytest
from expclip.aside import Process
from expclip.cache import claims
from expclip.cache.claims import ABANDONED_SECONDS, Claimant, Claims, claimant, remove_dead

NOBODY = 0x7FFFFFF0
"""No process has such a number."""


@pytest.fixture
def file(tmp_path):
    return tmp_path / "x-0.receipts" / "00000.claim"


def say(file, **process) -> None:
    """A claim of somebody else."""
    file.parent.mkdir(exist_ok=True)
    who = Claimant(Process(**(asdict(Process.this()) | process)), "elsewhere")
    file.write_text(json.dumps(asdict(who)))


def test_only_one_has_it_until_it_is_given_back(file):
    with Claims() as one, Claims() as other:
        assert one.take([file])
        assert not other.take([file])
        one.give_back([file])
        assert other.take([file])
    assert list(file.parent.iterdir()) == []


def test_all_or_none(file):
    second = file.with_name("00001.claim")
    with Claims() as one, Claims() as other:
        assert one.take([second])
        assert not other.take([file, second])
        assert [path.name for path in file.parent.iterdir()] == [second.name]


def test_another_process_is_another(file):
    with Claims() as one:
        assert one.take([file])
        code = (
            "import sys; from pathlib import Path; from expclip.cache.claims import Claims; "
            "print(Claims().take([Path(sys.argv[1])]))"
        )
        ran = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True)
        assert ran.stdout == "False\n"


@pytest.mark.parametrize("process", [{"pid": NOBODY}, {"run": "000000"}], ids=["it ended", "its number is ours now"])
def test_what_a_dead_process_had_is_taken_at_once(file, process):
    say(file, **process)
    with Claims() as one:
        assert one.take([file])


def test_what_another_machines_process_has_is_left_alone_while_it_shows_life(file, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(claims.time, "monotonic", lambda: now[0])
    say(file, host="ffffffff")
    with Claims() as one:
        for beat in range(5):
            os.utime(file, ns=(beat, beat))
            assert not one.take([file])
            now[0] += ABANDONED_SECONDS - 1
            assert not one.take([file])


def test_one_that_shows_no_life_is_taken_by_the_clock_here(file, monkeypatch):
    """The disk's clock may be years away from this one's."""
    now = [0.0]
    monkeypatch.setattr(claims.time, "monotonic", lambda: now[0])
    say(file, host="ffffffff")
    os.utime(file, (4e9, 4e9))
    with Claims() as one:
        assert not one.take([file])
        now[0] += ABANDONED_SECONDS + 1
        assert one.take([file])


def test_one_that_says_nothing_is_left_alone_for_as_long(file, monkeypatch):
    """On a disk without links a claim is there before all of its text is."""
    now = [0.0]
    monkeypatch.setattr(claims.time, "monotonic", lambda: now[0])
    file.parent.mkdir()
    file.write_text("")
    with Claims() as one:
        assert not one.take([file])
        now[0] += ABANDONED_SECONDS + 1
        assert one.take([file])


def test_life_is_shown(file, monkeypatch):
    monkeypatch.setattr(claims, "_BEAT_SECONDS", 0.01)
    with Claims() as one:
        assert one.take([file])
        os.utime(file, (1, 1))
        while file.stat().st_mtime == 1:
            pass


def test_a_claim_that_was_taken_away_is_not_given_back(file):
    with Claims() as one:
        assert one.take([file])
        say(file, host="ffffffff")
    assert claimant(file) is not None


def test_a_disk_without_links_serves_too(file, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "no links here")

    monkeypatch.setattr("os.link", refuse)
    with Claims() as one, Claims() as other:
        assert one.take([file])
        assert not other.take([file])
        assert claimant(file) is not None


def test_dead_claims_are_removed_and_living_ones_stay(file):
    say(file, pid=NOBODY)
    say(file.with_name("00001.claim"), host="ffffffff")
    with Claims() as one:
        assert one.take([file.with_name("00002.claim")])
        remove_dead(file.parent)
        assert sorted(path.name for path in file.parent.iterdir()) == ["00001.claim", "00002.claim"]
