"""Large answers go through shared memory: they are those of the function, however large, many or interrupted."""

import errno
import gc
import os

import deeds
import numpy as np
import psutil
import pytest
from expclip.pipeline import arena
from expclip.pipeline.apart import Crew, Died
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")


def check(seeds: list[int], sizes: list[int], answers: list) -> None:
    for seed, answer in zip(seeds, answers, strict=True):
        expected = deeds.arrays(seed, sizes)
        assert answer.keys() == expected.keys()
        assert all((answer[size] == expected[size]).all() for size in sizes)


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.sampled_from([0, 1, 16383, 16384, 150_528, 1 << 20, (1 << 20) + 1]), unique=True, max_size=4),
    rounds=st.lists(st.integers(1, 9), max_size=4),
    room=st.sampled_from([0, 1 << 15, 1 << 21]),
)
def test_what_comes_is_what_was_sent_with_and_without_room_for_it(sizes, rounds, room):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arena, "_LARGE", 16384)
        ours, theirs = (arena.Arena(()) for _ in range(2))
        ours._memory = theirs._memory = memoryview(bytearray(room))
        for number, count in enumerate(rounds):
            theirs.clear()
            seeds = [100 * number + k for k in range(count)]
            packed = [theirs.pack(deeds.arrays(seed, sizes)) for seed in seeds]
            check(seeds, sizes, [ours.unpack(one) for one in packed])


@pytest.mark.parametrize("sizes", [[150_528], [150_528, 9], [arena.BYTES + 1, 20_000], [arena.BYTES // 3]])
def test_large_answers_of_processes(sizes):
    seeds = list(range(12))
    with Crew(deeds.arrays, 2) as crew:
        goes = [crew.submit([(seed, sizes) for seed in seeds[k : k + 4]]) for k in (0, 4, 8)]
        check(seeds, sizes, [answer for go in goes for answer in go.result()])


def test_answers_stay_what_they_are_when_later_ones_have_come():
    with Crew(deeds.arrays, 1) as crew:
        first = crew.submit([(0, [100_000])]).result()
        crew.submit([(seed, [100_000]) for seed in range(1, 9)]).result()
    check([0], [100_000], first)


def test_those_before_and_behind_a_death_are_whole():
    with Crew(deeds.arrays, 1) as crew:
        answers = crew.submit([(seed, [100_000], seed == 2) for seed in range(5)]).result()
    assert answers.pop(2) == Died("SIGKILL")
    check([0, 1, 3, 4], [100_000], answers)


def test_without_such_memory_the_pipe_takes_all(monkeypatch):
    monkeypatch.delattr(os, "memfd_create", raising=False)
    with Crew(deeds.arrays, 1) as crew:
        check([5, 6], [300_000], crew.submit([(5, [300_000]), (6, [300_000])]).result())


def test_a_limit_on_files_is_none_on_what_comes(monkeypatch):
    def refuse(*_):
        raise OSError(errno.EFBIG, "File too large")

    monkeypatch.setattr(os, "truncate", refuse)
    with Crew(deeds.arrays, 1) as crew:
        check([5], [300_000], crew.submit([(5, [300_000])]).result())


def test_no_descriptor_stays_open():
    opened = []
    for _ in range(4):
        with Crew(deeds.arrays, 2) as crew:
            list(crew.map((seed, [100_000]) for seed in range(4)))
        del crew
        gc.collect()
        opened.append(psutil.Process().num_fds())
    assert len(set(opened)) == 1


def test_a_process_has_an_arena_of_its_own():
    with Crew(deeds.arrays, 2) as crew:
        answers = list(crew.map((seed, [200_000]) for seed in range(40)))
    check(list(range(40)), [200_000], answers)
    assert len({np.asarray(one[200_000]).tobytes() for one in answers}) == 40
