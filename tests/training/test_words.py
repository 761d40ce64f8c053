"""What captions, answers and looks say of a face: only what is drawn, and moods as often as the card tells."""

import numpy as np
import pytest
from expclip.manifests.faces.action_units import CLASSES
from expclip.manifests.faces.sampling import sample_face
from expclip.training import captions
from expclip.training.captions import caption
from expclip.training.looks import colour_name
from expclip.training.plain_data import WORDS
from expclip.training.sentences import action_phrases, look_phrases, sentence

MOODS = {
    word
    for table in ("adjectives", "nouns", "vague")
    for words in WORDS["captions"][table].values()
    for word in words
}


def has_mood(text: str) -> bool:
    return any(word in text.rstrip(".").split() for word in MOODS)


def test_moods_are_mentioned_as_often_as_the_card_tells():
    rng = np.random.default_rng(0)
    faces = [sample_face(7, index, index % 8) for index in range(2000)]
    share = np.mean([has_mood(caption(face, CLASSES[face.label], rng)) for face in faces])
    # "smiling" and "grossed out" aside, which are actions or two words
    assert share == pytest.approx(captions.MENTIONED, abs=0.05)


def test_a_face_without_a_class_has_no_mood():
    rng = np.random.default_rng(0)
    faces = [face for index in range(600) if (face := sample_face(7, index)).label is None]
    silent = [caption(face, None, rng) for face in faces]
    assert not any(has_mood(text.replace("smiling", "")) for text in silent)


def test_a_guess_follows_the_looks_and_not_the_face():
    """Two faces with the same looks and unlike expressions are guessed alike."""
    happy, angry = sample_face(3, 4, 0), sample_face(3, 4, 3)
    from dataclasses import replace

    angry = replace(angry, appearance=happy.appearance, view=happy.view)
    guesses = [captions._guess(face, np.random.default_rng(9)) for face in (happy, angry)]
    assert guesses[0] == guesses[1]


def test_answers_name_the_actions_that_are_drawn_with_their_strength_and_side():
    face = sample_face(1, 0, 7)
    from dataclasses import replace

    units = dict.fromkeys(face.action_units, 0.0) | {14: 0.9, 4: 0.3}
    one = replace(face, action_units=units, one_sided=1.0)
    assert action_phrases(one) == ["brows lowered together slightly", "mouth corners dimpled strongly on one side"]
    rest = replace(face, action_units=dict.fromkeys(units, 0.0), one_sided=0.0)
    assert sentence(action_phrases(rest)) == "the face is relaxed."


def test_looks_do_not_depend_on_the_expression():
    from dataclasses import replace

    face, other = sample_face(2, 5, 0), sample_face(2, 6, 4)
    assert look_phrases(face) == look_phrases(replace(other, appearance=face.appearance))


def test_colours_are_named_by_the_nearest():
    assert colour_name((250, 250, 250)) == "white"
    assert colour_name((30, 30, 30)) == "black"
