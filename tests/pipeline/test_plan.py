"""A plan is exactly what is missing: no row twice, no row left out, nothing done while planning."""

from dataclasses import replace

import numpy as np
import pytest
from expclip.cache.cache import Cache
from expclip.manifests.manifest import Origin, text_manifest
from expclip.pipeline.plan import Portion, Wanted, header_of, make_plan
from fake_encoders import language_node, pixels_node, text_node
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.usefixtures("shards_of_eight")

ROWS = 20
NODES = ("clip_image", "query_tokens", "llm")


@pytest.fixture
def wanted_of(folder, pixels, log):
    from expclip.manifests.readers import read_plain_folder

    tokens = pixels_node(log, "query_tokens")
    nodes = {"clip_image": pixels_node(log), "query_tokens": tokens, "llm": language_node(log, tokens)}
    manifest = read_plain_folder("pictures", folder)
    return lambda *names: Wanted(manifest, tuple(nodes[name] for name in names))


def rows_of(plan) -> dict[str, list[int]]:
    """The rows that a plan encodes, by node, in order."""
    rows: dict[str, list[int]] = {}
    for task in plan.tasks:
        assert task.sources == tuple(f"{row:05d}.png" for row in range(task.first, task.stop))
        for job in task.jobs:
            rows.setdefault(job.node.name, []).extend(range(job.start, task.stop))
    return rows


def covered(limit: int | None, part: tuple[int, int]) -> set[int]:
    """The rows that a portion is about, from the words of its documentation."""
    return {row for row in range(ROWS if limit is None else min(limit, ROWS)) if row // 8 % part[1] == part[0] - 1}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_plan_is_exactly_what_is_missing(tmp_path_factory, wanted_of, data):
    cache = Cache(tmp_path_factory.mktemp("cache"))
    done: dict[str, set[int]] = {name: set() for name in NODES}
    for name in NODES:
        node = next(iter(wanted_of(name).nodes))
        header = header_of(wanted_of(name).manifest, node)
        for shard in range(header.shards):
            rows = header.shard_rows(shard)
            count = data.draw(st.integers(0, len(rows)))
            if count:
                cache.create_store(header).write_shard(shard, np.ones((count, *node.row_shape)))
                done[name] |= set(range(rows.start, rows.start + count))
    asked = data.draw(st.lists(st.sampled_from(NODES), min_size=1, max_size=3, unique=True))
    limit = data.draw(st.none() | st.integers(1, ROWS + 5))
    part = data.draw(st.sampled_from([(1, 1), (1, 2), (2, 2), (3, 3)]))
    plan = make_plan(cache, [wanted_of(*asked)], Portion(limit, part), "cpu")

    wanted = covered(limit, part)
    expected = {name: wanted - done[name] for name in asked}
    if "llm" in asked:
        shards = {row // 8 for row in expected["llm"]}
        needed = {row for row in wanted - done["query_tokens"] if row // 8 in shards}
        expected["query_tokens"] = expected.get("query_tokens", set()) | needed
    found = rows_of(plan)
    assert {name: sorted(rows) for name, rows in expected.items() if rows} == found
    assert {line.node.name: line.to_do for line in plan.lines if line.to_do} == {n: len(r) for n, r in found.items()}
    assert {line.node.name for line in plan.lines} >= set(asked)
    assert all(line.done == len(done[line.node.name]) for line in plan.lines)
    assert plan.rows == sum(len(rows) for rows in found.values())


def test_planning_writes_nothing_and_loads_nothing(cache, wanted_of, log):
    plan = make_plan(cache, [wanted_of(*NODES)], Portion(), "cpu")
    assert plan.rows == 60
    assert not cache.root.exists()
    assert not log.exists()


def test_parents_come_before_their_children(cache, wanted_of):
    plan = make_plan(cache, [wanted_of("llm", "clip_image")], Portion(), "cpu")
    assert [job.node.name for job in plan.tasks[0].jobs] == ["query_tokens", "llm", "clip_image"]


def test_a_data_set_that_is_named_twice_is_done_once(cache, wanted_of):
    once = make_plan(cache, [wanted_of("clip_image")], Portion(), "cpu")
    twice = make_plan(cache, [wanted_of("clip_image"), wanted_of("clip_image")], Portion(), "cpu")
    assert twice.tasks == once.tasks
    assert len(twice.lines) == 1


def test_the_time_is_estimated_from_receipts_of_the_same_encoder_and_device(cache, wanted_of, log):
    wanted = wanted_of("clip_image")
    header = header_of(wanted.manifest, wanted.nodes[0])
    seconds = {"read": 1000.0, "infer": 3000.0, "write": 0.0}
    store = cache.create_store(header)
    store.write_shard(0, np.ones((8, 5)), seconds=seconds, device="cuda")

    def estimate(device):
        (line,) = make_plan(cache, [wanted], Portion(), device).lines
        return line.seconds

    assert estimate("cpu") is None
    assert estimate("cuda") == pytest.approx(12 * 4000 / 8, rel=0.05)
    store.write_shard(1, np.ones((8, 5)))
    store.write_shard(2, np.ones((4, 5)))
    assert estimate("cpu") == 0.0


def test_several_gpus_take_their_share_of_the_time_but_no_more_than_there_are_shards(cache, wanted_of):
    wanted = wanted_of("clip_image")
    store = cache.create_store(header_of(wanted.manifest, wanted.nodes[0]))
    store.write_shard(0, np.ones((8, 5)), seconds={"read": 1000.0, "infer": 3000.0, "write": 0.0}, device="cuda")
    alone, two, many = (make_plan(cache, [wanted], Portion(), "cuda", gpus).seconds for gpus in (1, 2, 8))
    assert alone == 2 * two == 2 * many, "8 + 4 rows are missing, in two shards"


def test_loading_is_estimated_too_and_once_for_all_stores_of_an_encoder(cache, wanted_of):
    wanted = wanted_of("clip_image")
    store = cache.create_store(header_of(wanted.manifest, wanted.nodes[0]))
    how = {"seconds": {"infer": 80.0, "write": 0.0}, "device": "cuda"}
    store.write_shard(0, np.ones((8, 5)), load_seconds=300.0, **how)
    store.write_shard(1, np.ones((8, 5)), **how)  # by the encoder that was loaded for the other
    rows = wanted.manifest.rows
    others = replace(wanted.manifest, rows=replace(rows, sizes=rows.sizes + 1), origin=Origin(folder="others"))
    plan = make_plan(cache, [wanted, Wanted(others, wanted.nodes)], Portion(), "cuda")
    assert [line.to_do for line in plan.lines] == [4, 20]
    assert [line.seconds for line in plan.lines] == pytest.approx([300 + 4 * 10, 300 + 20 * 10], rel=0.01)
    assert plan.seconds == pytest.approx(300 + 24 * 10, rel=0.01)
    store.write_shard(2, np.ones((4, 5)), **how)
    (done,) = make_plan(cache, [wanted], Portion(), "cuda").lines
    assert done.seconds == 0.0


def test_the_bytes_of_a_plan_are_those_of_the_missing_rows(cache, wanted_of):
    lines = {line.node.name: line for line in make_plan(cache, [wanted_of(*NODES)], Portion(limit=10), "cpu").lines}
    assert lines["clip_image"].bytes == 10 * 5 * 2
    assert lines["query_tokens"].bytes == 10 * 6 * 2


def test_texts_belong_to_no_data_set(cache, log):
    manifest = text_manifest("P", ("joy",), [("a face", 0)])
    plan = make_plan(cache, [Wanted(manifest, (text_node(log),))], Portion(), "cpu")
    assert plan.lines[0].header.dataset == "text"
