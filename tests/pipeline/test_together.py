"""Several processes that fill one cache at once, with the same or with different parts of the work."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROUNDS = 5
"""As many as there are parties; `make torture` plays a hundred."""


def play(folder: Path, *how: str) -> list[dict]:
    script = Path(__file__).with_name("together.py")
    command = [sys.executable, str(script), str(folder), str(ROUNDS), *how]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    said = [line for line in ran.stderr.splitlines() if not line.startswith("note: waiting for what ")]
    assert said == []
    return [json.loads(line) for line in ran.stdout.splitlines()]


@pytest.fixture(scope="module")
def rounds(tmp_path_factory) -> list[dict]:
    return play(tmp_path_factory.mktemp("together"))


def test_each_ends_well_with_its_part_complete(rounds):
    assert [set(one["codes"]) for one in rounds] == [{0}] * ROUNDS


def test_the_stores_are_those_that_one_process_makes(rounds):
    assert all(one["same"] and all(one["same"]) for one in rounds)


def test_hardly_anything_is_computed_twice(rounds):
    assert all(one["encoded"] <= 1.1 * one["missing"] for one in rounds), rounds


def test_no_claim_and_no_temporary_stays(rounds):
    assert [one["left"] for one in rounds] == [[]] * ROUNDS


def test_without_claims_the_result_is_right_all_the_same(tmp_path):
    """On a disk whose claims do not work: what is made twice is made twice."""
    rounds = play(tmp_path, "1", "lawless")
    assert [set(one["codes"]) for one in rounds] == [{0}] * ROUNDS
    assert all(one["same"] and all(one["same"]) for one in rounds)
    assert any(one["encoded"] > 1.1 * one["missing"] for one in rounds), "there were claims"
