"""Which words name a class."""

import pytest
from expclip.errors import UsageError
from expclip.manifests.classes import (
    CLASSES,
    chosen_classes,
    class_index,
    class_names,
    numbered_classes,
    refuse_unreadable,
    smallest_class_set,
)
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


NAMES_AND_FORMS = ("neutral", "Neutrality", "2", "happy", "happiness", "0", "3", "anger", "fearful")
OTHERS = ("calm", "Calm", "natural", "joy", "smile", "scared", "pain", "Pain", "angyr")
WORDS = st.sampled_from(NAMES_AND_FORMS + OTHERS)


@given(st.lists(WORDS, max_size=8), st.randoms())
def test_what_words_mean_does_not_depend_on_their_order_or_number(words, random):
    mixed = [*words, *words]
    random.shuffle(mixed)
    assert class_names(mixed) == class_names(words)


@given(st.lists(WORDS, max_size=8))
def test_the_rule_of_names_forms_and_looser_words(words):
    """Once more, word by word: what no other word of the data set claims, a looser word may have."""
    strict = {
        **dict.fromkeys(("neutral", "neutrality", "2"), "neutral"),
        **dict.fromkeys(("happy", "happiness", "0"), "happiness"),
        **dict.fromkeys(("anger", "3"), "anger"),
        "fearful": "fear",
    }
    looser = {"neutral": {"calm", "natural"}, "happiness": {"joy", "smile"}, "fear": {"scared"}}
    said = {word.lower() for word in words}
    for word, name in class_names(words).of.items():
        plain = word.lower()
        claims = [one for one, those in looser.items() if plain in those]
        if not claims:
            assert name == strict.get(plain, plain)
        else:
            taken = any(strict.get(other) == claims[0] for other in said) or said & looser[claims[0]] != {plain}
            assert name == (plain if taken else claims[0])


@pytest.mark.parametrize(
    ("words", "classes", "remarks"),
    [
        (["calm"], ["neutral"], []),
        (["Happy", "happy"], ["happiness", "happiness"], []),
        (["Happy", "happiness"], ["happiness", "happiness"], ["read as one class: Happy, happiness (happiness)"]),
        (["3", "anger"], ["anger", "anger"], ["read as one class: 3, anger (anger)"]),
        (
            ["neutral", "calm", "joy", "Smile"],
            ["neutral", "calm", "joy", "smile"],
            ["calm (neutral), joy (happiness), smile (happiness): each a class of its own here, since"],
        ),
        (
            ["Pain", "angyr", "fear"],
            ["pain", "angyr", "fear"],
            ["angyr (did you mean anger?), pain: not common classes, and taken as the data set's own"],
        ),
    ],
)
def test_what_becomes_of_words_that_stand_beside_each_other_is_said(words, classes, remarks):
    found = class_names(words)
    assert [found.of[word] for word in words] == classes
    assert len(found.remarks) == len(remarks)
    assert all(map(str.startswith, found.remarks, remarks))


def test_words_of_a_data_set_with_fixed_classes_mean_what_they_mean_by_themselves():
    found = class_names(["calm", "neutral", "extras"], CLASSES[:7])
    assert found.of == {"calm": "neutral", "extras": "extras", "neutral": "neutral"}
    assert found.remarks == ("read as one class: calm, neutral (neutral)",)


def test_numbers_stand_for_the_classes_that_are_named():
    order = numbered_classes(["Neutral", "calm", "happy", "pain"])
    assert order == ("neutral", "calm", "happiness", "pain")
    assert class_names(["0", "1", "2", "3"], numbers=order).of == dict(zip("0123", order, strict=True))
    assert class_names(["1", "calm"], numbers=order).remarks == ("read as one class: 1, calm (calm)",)
    assert numbered_classes(["common"]) == CLASSES


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["angyr", "happy"], r"classes: angyr: did you mean anger\?"),
        (["happy", "Happiness"], r"classes: happy and Happiness name one class, happiness: write it once"),
    ],
)
def test_an_order_that_cannot_be_meant_is_refused(words, message):
    with pytest.raises(UsageError, match=message):
        numbered_classes(words)


def test_classes_are_chosen_among_those_that_one_of_several_data_sets_has():
    has = ("happiness", "calm", "neutral", "madness")
    assert chosen_classes(["Calm", "happy", "fear", "Madness"], has) == ("calm", "happiness", "fear", "madness")
    assert chosen_classes(["calm"], ("neutral",)) == ("neutral",)
    assert chosen_classes(["common"], has) == chosen_classes([], has) == ()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["angyr"], r"classes: no data set here has the class angyr: did you mean anger\?"),
        (["bordom"], r"the class bordom: did you mean boredom\?"),
        (["zzz"], r"the class zzz: choose boredom, happiness, sadness, .* or disappointment"),
        (["anger", "angry"], r"anger and angry name one class, anger"),
    ],
)
def test_a_class_that_nothing_has_is_refused_with_the_nearest(words, message):
    with pytest.raises(UsageError, match=message):
        chosen_classes(words, ("boredom",))


def test_a_name_of_several_lines_that_is_no_text_is_one_line():
    with pytest.raises(UsageError, match="is not UTF-8") as error:
        refuse_unreadable("hap\npy\x1b[1m\udcec", "list.csv:3")
    assert not set("\n\x1b") & set(str(error.value))
