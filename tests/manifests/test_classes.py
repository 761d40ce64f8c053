"""Which words name a class."""

import pytest
from expclip.manifests.classes import CLASSES, class_index, smallest_class_set
from hypothesis import given
from hypothesis import strategies as st


@given(st.sampled_from(CLASSES), st.randoms())
def test_a_class_name_counts_in_any_case(name, random):
    mixed = "".join(random.choice([c.lower(), c.upper()]) for c in name)
    assert class_index(f" {mixed} ") == CLASSES.index(name)


@pytest.mark.parametrize(
    ("word", "name"), [("Happy", "happiness"), ("SAD", "sadness"), ("Angry", "anger"), ("natural", "neutral")]
)
def test_common_synonyms_count(word, name):
    assert class_index(word) == CLASSES.index(name)


@given(st.integers(-20, 200))
def test_an_index_counts_only_as_people_write_it(number):
    expected = number if 0 <= number < len(CLASSES) else None
    assert class_index(str(number)) == expected
    assert class_index(f"0{number}") is None


@given(st.text())
def test_any_text_has_an_index_in_range_or_none(text):
    assert class_index(text) in {None, *range(len(CLASSES))}


@pytest.mark.parametrize(("highest", "size"), [(0, 7), (6, 7), (7, 8), (8, 11), (10, 11), (-1, 7)])
def test_the_smallest_common_class_set_holds_every_label(highest, size):
    assert smallest_class_set([highest]) == CLASSES[:size]
