"""Which heads a word means: files, values of fields, beginnings of ids, and what is said of words that mean none."""

from pathlib import Path

import pytest
from expclip import UsageError
from expclip.heads.choosing import FIELDS, choose_heads
from expclip.heads.saving import HeadCard, write_head
from expclip.manifests.prompts import instruction_name

OWN = instruction_name("Describe the mouth.")


def card(head_id: str, head: str = "linear", seed: int | None = 1, **said) -> HeadCard:
    usual = {"objective": "infonce", "teacher": "miniature", "instruction": "related-1", "train": "photos"}
    names = {"backbone": "miniature", "clip_digest": "", "protocol": "released", "untrained": False, "spec": {}}
    return HeadCard(id=head_id, head=head, seed=seed, **names, **usual | said)


HEADS = {
    "linear 1": card("1a0000000000"),
    "linear 2": card("1b0000000000", seed=2),
    "empty": card("2c0000000000", seed=2, instruction="empty"),
    "ridge": card("3d0000000000", "ridge", None, objective="mse"),
    "own words": card("4e0000000000", "mlp2", instruction="mine" + OWN[-9:]),
    "of Flan": card("5f0000000000", teacher="blip2-flan-t5-xl", train=""),
    "labels": card("6a0000000000", "votes", None, objective="labels", teacher="", instruction=""),
}
KEPT = [(Path(name), one) for name, one in HEADS.items()]


def chosen(selector: str) -> list[str]:
    return [str(path) for path, _ in choose_heads(selector, KEPT)]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("none", []),
        ("kind=linear", ["linear 1", "linear 2", "empty", "of Flan"]),
        ("kind=linear,seed=2", ["linear 2", "empty"]),
        ("seed=2,instruction=empty", ["empty"]),
        ("seed=none", ["ridge", "labels"]),
        ("objective=mse", ["ridge"]),
        ("teacher=Salesforce/blip2-flan-t5-xl", ["of Flan"]),
        ("teacher=none", ["labels"]),
        ("train=none", ["of Flan"]),
        ("train=photos,kind=mlp2", ["own words"]),
        ("instruction=Describe  the mouth.", ["own words"]),
        (f"instruction={OWN}", ["own words"]),
        ("1b", ["linear 2"]),
        ("3", ["ridge"]),
        ("5f0000000000", ["of Flan"]),
    ],
)
def test_all_heads_that_match_are_chosen_in_their_order(selector, expected):
    assert chosen(selector) == expected


@pytest.mark.parametrize(
    ("selector", "said"),
    [
        ("linear", "no head has an id that begins so: write kind=linear$"),
        ("transformer", "write kind=transformer, which no head of the cache is yet: there is "),
        ("related-1", "write instruction=related-1$"),
        ("related-3", "write instruction=related-3, which no head of the cache is yet: there is "),
        (
            "Describe the nose.",
            "write 'instruction=Describe the nose.', which no head of the cache is yet: there is ",
        ),
        ("miniature", "write teacher=miniature$"),
        ("blip2-flan-t5-xxl", "write teacher=blip2-flan-t5-xxl, which no head of the cache is yet: there is "),
        ("Salesforce/blip2-flan-t5-xl", "write teacher=Salesforce/blip2-flan-t5-xl$"),
        ("infonce", "write objective=infonce$"),
        ("photos", "write train=photos$"),
        ("7", "write seed=7, which no head of the cache is yet: there is "),
        ("1", "an id begins so, and heads have the seed 1 too: write more digits of the id, or seed=1$"),
        ("1b0000000001", "'1b0000000001': no such head .*1a0000000000, 1b0000000000"),
        ("sed=1", "there is no field 'sed': choose kind, instruction, teacher, objective, train or seed$"),
        ("kind=linear,sed=1", "there is no field 'sed'"),
        ("kind=linear,kind=mlp2", "kind stands here twice: repeat head for either"),
        ("kind=cubic", "no head of the cache has the kind 'cubic': there is linear, mlp2, ridge, votes$"),
        ("seed=3", "no head of the cache has the seed '3': there is none, 1, 2$"),
        ("kind=ridge,seed=1", "has all of these at once: `expclip heads list` shows"),
        ("./nowhere/head.safetensors", "there is no head in such a file or folder: correct the path"),
        ("nowhere.pth", "there is no head in such a file or folder: correct the path"),
    ],
)
def test_what_means_no_head_is_refused_with_the_spelling_that_would(selector, said):
    with pytest.raises(UsageError, match=said):
        chosen(selector)


def test_the_beginning_of_several_ids_is_refused_with_them():
    two = [(Path(one.id), one) for one in (card("ab0000000000"), card("ab1111111111"))]
    with pytest.raises(UsageError, match=r"several heads have ids that begin so \(ab0000000000, ab1111111111\)"):
        choose_heads("ab", two)


def test_a_path_comes_before_a_field_and_a_field_before_an_id(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("kind=linear", "1b"):
        write_head(Path(name), HEADS["ridge"], {})
        ((path, found),) = choose_heads(name, KEPT)
        assert (str(path), found.head) == (name, "ridge")
        Path(name).unlink()
        Path(name).mkdir()  # a folder that holds no head is not meant
        assert HEADS["ridge"].id not in {one.id for _, one in choose_heads(name, KEPT)}


def test_an_empty_cache_says_so():
    with pytest.raises(UsageError, match="the cache has no heads: fit one first"):
        choose_heads("kind=linear", [])


def test_every_field_names_what_cards_have():
    assert list(FIELDS) == ["kind", "instruction", "teacher", "objective", "train", "seed"]
