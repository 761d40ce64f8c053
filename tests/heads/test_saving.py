"""Heads in a cache or a file from elsewhere: a card has the types of a card, and tensors are those of its kind."""

import json
import os
from dataclasses import asdict, replace

import numpy as np
import pytest
from expclip import UsageError
from expclip.heads.kinds import KINDS, TeacherPairs
from expclip.heads.recipe import Recipe
from expclip.heads.saving import HeadCard, head_id, load_head, read_card, save_head, write_head
from made_up import made_up_features
from safetensors.numpy import save_file

TAUGHT = [name for name, kind in KINDS.items() if kind.learns_from == "teacher"]


def card(kind: str = "linear", **said) -> HeadCard:
    spec = {"head": kind}
    usual = {"objective": "infonce", "teacher": "miniature", "instruction": "related-1", "train": "photos"}
    names = {"backbone": "miniature", "clip_digest": "", "protocol": "released", "untrained": False, "spec": spec}
    return HeadCard(id=head_id(spec), head=kind, seed=1, **usual | names | said)


def tensors_of(kind: str) -> dict[str, np.ndarray]:
    pairs = TeacherPairs(*made_up_features(width=128))
    return KINDS[kind].trainer.fit(pairs, Recipe(epochs=0), None).tensors()


@pytest.mark.parametrize("kind", TAUGHT)
def test_what_was_saved_is_loaded(tmp_path, kind):
    folder = save_head(tmp_path, card(kind), tensors_of(kind))
    found = read_card(folder)
    assert found is not None
    loaded = load_head(folder, found).tensors()
    for name, value in tensors_of(kind).items():
        np.testing.assert_array_equal(loaded[name], value)


SPOILT = {
    "another name": lambda name, value: {f"x{name}": value},
    "nothing": lambda name, value: {},
    "one more": lambda name, value: {name: value, "more": value},
    "a vector": lambda name, value: {name: value.reshape(-1)},
    "another axis": lambda name, value: {name: value[None]},
    "no rows": lambda name, value: {name: value[:0]},
    "whole numbers": lambda name, value: {name: value.astype(np.int8)},
    "NaN": lambda name, value: {name: np.full_like(value, np.nan)},
    "infinite in float32": lambda name, value: {name: np.full(value.shape, 1e300)},
}


@pytest.mark.parametrize("how", SPOILT)
@pytest.mark.parametrize("kind", TAUGHT)
def test_tensors_of_another_head_are_one_line(tmp_path, kind, how):
    whole = tensors_of(kind)
    name = list(whole)[-1 if kind.startswith("mlp") else 0]
    rest = {other: value for other, value in whole.items() if other != name}
    file = tmp_path / "head.safetensors"
    write_head(file, card(kind), rest | SPOILT[how](name, whole[name]))
    found = read_card(file)
    assert found is not None
    with pytest.raises(UsageError, match=rf"head\.safetensors: this {kind} head cannot be read"):
        load_head(file, found)


@pytest.mark.parametrize("kind", TAUGHT)
def test_a_head_of_another_kind_than_its_card_says_is_one_line(tmp_path, kind):
    other = "mlp3" if kind != "mlp3" else "linear"
    write_head(tmp_path / "a.safetensors", card(kind), tensors_of(other))
    with pytest.raises(UsageError, match="cannot be read"):
        load_head(tmp_path / "a.safetensors", card(kind))


LIES = [
    {"seed": "1"},
    {"seed": 1.5},
    {"untrained": "no"},
    {"spec": []},
    {"spec": {"classes": 5}},
    {"spec": {"llm": 5}},
    {"spec": {"optimiser": 5}},
    {"spec": {"a": float("nan")}},
    {"losses": ["x"]},
    {"instruction": None},
    {"train": 3},
    {"backbone": ["a"]},
    {"seconds": "long"},
    {"more": 1},
    {"head": {}},
]


@pytest.mark.parametrize("lie", LIES)
def test_a_card_with_values_of_other_types_is_none(tmp_path, lie):
    file = tmp_path / "a.safetensors"
    save_file({"weight": np.ones((2, 2))}, file, metadata={"expclip": json.dumps(asdict(card()) | lie)})
    assert read_card(file) is None


@pytest.mark.parametrize("text", ["[" * 10**5, "7" * 6000, '{"id": NaN}', "", "null", '"x"', "{"])
def test_a_card_that_is_none_is_none(tmp_path, text):
    file = tmp_path / "a.safetensors"
    save_file({"weight": np.ones((2, 2))}, file, metadata={"expclip": text})
    assert read_card(file) is None
    (tmp_path / "head.json").write_text(text)
    assert read_card(tmp_path) is None


@pytest.mark.parametrize("claim", ["../../x", head_id(card().spec)])
def test_a_file_does_not_choose_the_id_of_another_head(tmp_path, claim):
    ids = set()
    for scale in (1, 2):
        tensors = {name: scale * value for name, value in tensors_of("linear").items()}
        write_head(tmp_path / "a.safetensors", replace(card(), id=claim), tensors)
        found = read_card(tmp_path / "a.safetensors")
        assert found is not None
        assert found.imported
        assert found.original_id == (None if "/" in claim else claim)
        ids.add(found.id)
    assert len(ids) == 2
    assert not ids & {claim, head_id(card().spec)}


@pytest.mark.skipif(os.name == "nt", reason="needs a named pipe")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.safetensors")
    assert read_card(tmp_path / "a.safetensors") is None
    with pytest.raises(UsageError, match="not an ordinary file"):
        load_head(tmp_path / "a.safetensors", card())
