"""Calls in processes of their own: answers in order, one death is one answer, and nothing stays behind."""

import os
import time

import deeds
import psutil
import pytest
from expclip.errors import ExpclipError, UsageError
from expclip.pipeline import apart
from expclip.pipeline.apart import Crew, Died

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")


def children() -> list[psutil.Process]:
    return psutil.Process().children()


@pytest.fixture(autouse=True)
def nothing_stays():
    before = set(children())
    yield
    assert set(children()) == before


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_answers_come_in_order(workers):
    with Crew(deeds.square, workers) as crew:
        assert list(crew.map((number,) for number in range(50))) == [number**2 for number in range(50)]
        assert crew.submit([(3,), (4,)]).result() == [9, 16]


def test_0_workers_are_this_very_process_and_others_are_others(capfd):
    with Crew(deeds.whoami, 0) as crew:
        assert set(crew.map((number,) for number in range(9))) == {os.getpid()}
    capfd.readouterr()
    with Crew(deeds.whoami, 2) as crew:
        found = set(crew.map((number,) for number in range(20)))
    assert os.getpid() not in found
    assert 1 <= len(found) <= 2
    assert "".join(capfd.readouterr()) == "", "what they print is neither an answer nor shown"


@pytest.mark.parametrize("how", ["SIGSEGV", "SIGABRT", "SIGBUS", "SIGKILL", "SIGTERM", "exit"])
@pytest.mark.parametrize("fatal", [0, 3, 7])
def test_of_many_calls_in_one_go_the_deadly_one_is_known(how, fatal):
    with Crew(deeds.die_at, 1) as crew:
        answers = crew.submit([(number, fatal, how) for number in range(8)]).result()
    expected = [*range(8)]
    assert answers[fatal] == Died("exit code 7" if how == "exit" else how)
    assert answers[:fatal] + answers[fatal + 1 :] == expected[:fatal] + expected[fatal + 1 :]


def test_what_a_call_raises_is_raised_here_and_the_next_calls_are_answered():
    with Crew(deeds.refuse, 1) as crew:
        with pytest.raises(UsageError) as error:
            crew.submit([(1,), (2,), (3,)]).result()
        assert error.value.as_typed == "--batch-size 2 is odd"
        assert crew.submit([(4,), (5,)]).result() == [4, 5]


def test_an_error_that_does_not_travel_is_told():
    with (
        Crew(deeds.refuse_strangely, 1) as crew,
        pytest.raises(RuntimeError, match="UnpicklableError: this and that"),
    ):
        crew.submit([(1,)]).result()


def test_large_pictures_are_worked_on_one_at_a_time_and_small_ones_are_not(tmp_path):
    log = tmp_path / "large"
    with Crew(deeds.large, 3) as crew:
        list(crew.map([(log, 4001)] * 9))
    assert log.read_text() == "()" * 9
    with apart._turn, Crew(deeds.large, 3) as crew:  # somebody else has the turn
        list(crew.map([(tmp_path / "small", 3999)] * 9))
    assert len((tmp_path / "small").read_text()) == 18


def test_a_death_ends_the_turn(tmp_path):
    with Crew(deeds.large, 2) as crew:
        answers = list(crew.map([(tmp_path / "log", 5000, number == 1) for number in range(4)]))
    assert answers == [None, Died("SIGSEGV"), None, None]


def test_leaving_early_leaves_no_process_even_where_one_is_deaf(tmp_path, monkeypatch):
    monkeypatch.setattr(apart, "_PATIENCE", 0.1)
    with pytest.raises(KeyboardInterrupt), Crew(deeds.sleep_deaf, 1) as crew:
        crew.submit([(tmp_path / "log",)])
        while not (tmp_path / "log").exists():
            time.sleep(0.001)
        raise KeyboardInterrupt


def test_where_no_process_starts_it_is_one_line(monkeypatch):
    monkeypatch.setattr(apart, "_START", "raise SystemExit(5)")
    with (
        Crew(deeds.square, 1) as crew,
        pytest.raises(ExpclipError, match=r"ended before its first one \(exit code 5\)") as error,
    ):
        crew.submit([(1,)]).result()
    assert "\n" not in str(error.value)
