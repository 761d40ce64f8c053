"""Prompt sets and instructions."""

import hashlib
import json
import re

import pytest
from expclip.errors import UsageError
from expclip.manifests.classes import CLASSES
from expclip.manifests.prompts import PROMPT_SETS, instruction, instruction_name, prompt_set

ADJECTIVES = ("happ", "sad", "neutral", "ang", "surpris", "disgust", "fear", "contempt", "anxi", "helpless", "disapp")
"""What a prompt of each class says, as a noun or as an adjective."""


@pytest.fixture
def read(tmp_path):
    """Reads a prompt file with some text."""

    def read_text(text, name="mine.json"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return prompt_set(str(path))

    return read_text


@pytest.mark.parametrize(("name", "prompts"), list(zip(PROMPT_SETS, (1, 1, 1, 5, 10), strict=True)))
def test_each_released_set_has_its_number_of_prompts_for_each_of_11_classes(name, prompts):
    found = prompt_set(name)
    assert tuple(found.prompts) == CLASSES
    assert {len(texts) for texts in found.prompts.values()} == {prompts}


@pytest.mark.parametrize("protocol", ["released", "paper"])
@pytest.mark.parametrize("name", PROMPT_SETS)
def test_a_prompt_speaks_of_its_class_and_of_no_other(name, protocol):
    for index, texts in enumerate(prompt_set(name, protocol).prompts.values()):
        for text in texts:
            assert [k for k, stem in enumerate(ADJECTIVES) if stem in text.lower()] == [index], text


def test_the_one_prompt_sets_are_templates():
    for name, template in {
        "P-1": "{}.",
        "P-2": "an expression of {}.",
        "P-3": "a photo of a face with an expression of {}.",
    }.items():
        assert prompt_set(name).prompts == {c: (template.format(c),) for c in CLASSES}


def test_the_papers_ten_templates_are_the_same_for_every_class():
    paper = prompt_set("P-5", "paper")
    assert paper.name == "P-5-paper"
    templates = {tuple(t.replace(c, "*") for t in texts) for c, texts in paper.prompts.items()}
    assert len(templates) == 1
    (ten,) = templates
    assert len(set(ten)) == 10
    assert "*." in ten
    assert "cropped" not in " ".join(ten)


def test_only_p5_depends_on_the_protocol():
    assert [name for name in PROMPT_SETS if prompt_set(name) != prompt_set(name, "paper")] == ["P-5"]


def test_the_texts_of_a_set_are_its_distinct_prompts():
    texts = prompt_set("P-4").texts
    assert len(texts) == len(set(texts))
    assert set(texts) == {text for prompts in prompt_set("P-4").prompts.values() for text in prompts}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('{"templates": ["a photo of a {class} face", "{class}, and {class} again {x}"]}', "mine.json"),
        ("\ufeffa photo of a {class} face\r\n\n  {class}, and {class} again {x} \n", "mine.txt"),
    ],
)
def test_a_users_templates_are_filled_with_every_class(read, text, name):
    found = read(text, name)
    assert found.name == "mine"
    assert found.prompts == {c: (f"a photo of a {c} face", f"{c}, and {c} again {{x}}") for c in CLASSES}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "mine.txt",
            "a {class} face\na face",
            r"the template 'a face' lacks {class}: write it where the class belongs",
        ),
        ("mine.txt", "", r"'templates' needs a list of one or more prompts"),
        ("mine.txt", b"{class} \xff", r"not a text in UTF-8"),
        ("mine.txt", "{class}\0", r"'templates' needs a list"),
        ("mine.json", '{"templates": ["{Class}"]}', r"the template '{Class}' lacks {class}"),
        ("mine.json", '{"templates": []}', r"'templates' needs a list"),
        ("mine.json", '{"templates": ["{class}"], "fear": ["x"]}', r"'templates' is not a class: give either"),
    ],
)
def test_templates_that_cannot_be_used_are_named(read, name, text, message):
    with pytest.raises(UsageError, match=rf"{re.escape(name)}: {message}"):
        read(text, name)


def test_a_users_file_may_use_synonyms_and_other_scripts(read):
    found = read('\ufeff{"Happy": ["ein Lächeln", "笑顔"], "sadness": ["tears"]}')
    assert found.name == "mine"
    assert found.prompts == {"happiness": ("ein Lächeln", "笑顔"), "sadness": ("tears",)}


def test_classes_of_the_users_own_have_prompts_by_template_or_in_a_file(read):
    classes = ("happiness", "mild_pain")
    assert prompt_set("P-3").covering(classes).prompts["mild_pain"] == (
        "a photo of a face with an expression of mild pain.",
    )
    assert prompt_set("P-5", "paper").covering(classes).prompts["mild_pain"][0] == "mild pain."
    assert read("a {class} face", "t.txt").covering(classes).prompts["mild_pain"] == ("a mild pain face",)
    mine = read('{"joy": ["a smile"], "Mild_Pain": ["it hurts"]}')
    assert mine.covering(classes).prompts == {"happiness": ("a smile",), "mild_pain": ("it hurts",)}
    for lacking in (mine, prompt_set("P-4")):
        with pytest.raises(UsageError, match=rf"prompt set {lacking.name} has no prompt for boredom: give them one"):
            lacking.covering(("happiness", "boredom"))


@pytest.mark.parametrize(
    ("text", "classes", "prompts"),
    [
        ('{"calm": ["c"], "neutral": ["n"]}', ("neutral", "calm"), ["n", "c"]),
        ('{"calm": ["c"], "neutral": ["n"]}', ("neutral",), ["n"]),
        ('{"Calm": ["c"]}', ("neutral",), ["c"]),
        ('{"Calm": ["c"]}', ("calm",), ["c"]),
        ('{"calm": ["c"], "natural": ["n"]}', ("calm", "neutral"), ["c", "n"]),
        ('{"joy": ["j"], "smile": ["s"]}', ("joy", "smile"), ["j", "s"]),
        ('{"joy": ["j"], "happy": ["h"]}', ("happiness",), ["h"]),
    ],
)
def test_a_class_has_the_prompts_of_its_own_word_else_those_of_a_word_that_means_it(read, text, classes, prompts):
    found = read(text).covering(classes).prompts
    assert [found[name] for name in classes] == [(text,) for text in prompts]


@pytest.mark.parametrize(
    ("text", "classes", "lacking"),
    [
        ('{"calm": ["c"]}', ("calm", "neutral"), "neutral"),
        ('{"neutral": ["n"]}', ("calm", "neutral"), "calm"),
        ('{"joy": ["j"], "smile": ["s"]}', ("happiness",), "happiness"),
    ],
)
def test_prompts_of_one_class_are_never_those_of_another(read, text, classes, lacking):
    with pytest.raises(UsageError, match=rf"the prompt set mine has no prompt for {lacking}: give"):
        read(text).covering(classes)


def test_classes_that_are_not_needed_may_lack_prompts(read):
    mine = read('{"happy": ["a smile"], "pain": ["a frown"]}')
    classes = (*CLASSES[:7], "pain")
    found = mine.covering(classes, needed=("happiness", "pain"))
    assert found.prompts == {"happiness": ("a smile",), "pain": ("a frown",)}
    with pytest.raises(UsageError, match=r"the prompt set mine has no prompt for fear: give"):
        mine.covering(classes, needed=("happiness", "fear"))
    assert set(classes) <= set(prompt_set("P-3").covering(classes, needed=()).prompts)


def test_a_users_file_is_never_called_like_a_released_set(read):
    assert read('{"fear": ["x"]}', "P-3.json").name == "P-3-file"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"happy": ["a"', r"not JSON in UTF-8"),
        (b'{"happy": ["\xff"]}', r"not a text in UTF-8"),
        pytest.param("[" * 100_000, r"not JSON in", id="too deep"),
        ("{}", r'expected {"class": \["prompt", …\], …}'),
        ('["a"]', r'expected {"class": \["prompt", …\], …}'),
        ('{"happy": ["a"], "Happiness": ["b"]}', r"happiness occurs twice \('Happiness'\): put its prompts into one"),
        ('{"happy": ["a"], "happy": ["b"]}', r"happiness occurs twice"),
        ('{"happy": "a"}', r"'happy' needs a list of one or more prompts"),
        ('{"happy": []}', r"'happy' needs a list of one or more prompts"),
        ('{"happy": ["  "]}', r"'happy' needs a list of one or more prompts, each a non-empty text"),
        ('{"happy": [1]}', r"'happy' needs a list"),
        (json.dumps({"happy": ["a\0b"]}), r"'happy' needs a list"),
        (r'{"happy": ["\ud800"]}', r"'happy' needs a list"),
    ],
)
def test_a_users_file_that_cannot_be_used_is_named(read, text, message):
    with pytest.raises(UsageError, match=rf"mine\.json: {message}"):
        read(text)


def test_a_prompt_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"gone.json: the prompt file cannot be read \(No such file.*\): correct"):
        prompt_set(str(tmp_path / "gone.json"))


def test_an_unknown_prompt_set_lists_those_there_are():
    with pytest.raises(
        UsageError, match=r"no prompt set 'P-6': choose P-1, P-2, P-3, P-4 or P-5, or give a .json or .txt"
    ):
        prompt_set("P-6")


def test_instructions_of_the_paper():
    assert instruction("related-1").text.startswith("Please play the role of a facial action describer.")
    assert "expression recognition expert" in instruction("related-2").text
    assert instruction("related-3").text == "Please describe the detailed facial actions of the person in the image."
    assert instruction("empty").text == ""


def test_a_random_instruction_is_eight_words_that_stay_the_same():
    assert instruction("random-1") == instruction("random-1")
    assert instruction("random-1").text != instruction("random-2").text
    assert re.fullmatch(r"(\w+ ){7}\w+\.", instruction("random-7").text)


def test_the_words_of_a_seed_are_those_of_every_version_of_python():
    assert instruction("random-1").text == "paper violin window ladder bicycle garlic pencil kettle."


def test_a_text_with_a_space_is_an_instruction_named_after_its_first_words():
    found = instruction("  Describe the mouth,\nand nothing | else. ")
    assert found.text == "Describe the mouth, and nothing | else."
    digits = hashlib.sha256(found.text.encode()).hexdigest()[:8]
    assert found.name == f"describe-the-mouth-and~{digits}"


def test_a_file_is_an_instruction_named_after_its_stem(tmp_path):
    (tmp_path / "my mouth.txt").write_text("\ufeffDescribe the mouth.\n", encoding="utf-8")
    found = instruction(str(tmp_path / "my mouth.txt"))
    assert found.text == "Describe the mouth."
    assert re.fullmatch(r"my-mouth~[0-9a-f]{8}", found.name)


def test_two_texts_never_share_a_name(tmp_path):
    texts = ["Describe the whole mouth now.", "Describe the whole mouth later.", "描述 嘴", "描述 眼", "? !", "! ?"]
    found = [instruction(text) for text in texts]
    for text in ("One.", "Two."):
        (tmp_path / "random-1.txt").write_text(text)
        found.append(instruction(str(tmp_path / "random-1.txt")))
    assert len({one.name for one in found}) == len(found)
    assert not any(one.name == f"random-{k}" for one in found for k in range(10))


def test_a_text_that_has_a_name_keeps_it(tmp_path):
    known = instruction("related-2")
    assert instruction(known.text) == known
    (tmp_path / "mine.txt").write_text(known.text.replace(" ", "\n"))
    assert instruction(str(tmp_path / "mine.txt")) == known


@pytest.mark.parametrize("asked", ["related-1", "empty", "Describe the mouth."])
def test_the_name_that_is_shown_stands_for_the_instruction(asked):
    name = instruction(asked).name
    assert instruction_name(asked) == instruction_name(name) == name


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"mine.txt: the instruction file cannot be read \(No such file"),
        (b"\xff", r"mine.txt: not a text in UTF-8"),
        (b" \n", r"mine.txt: an instruction needs words .* write `empty` for none"),
        (b"a\0b c", r"mine.txt: an instruction needs words"),
    ],
)
def test_an_instruction_file_that_cannot_be_used_is_named(tmp_path, content, message):
    if content is not None:
        (tmp_path / "mine.txt").write_bytes(content)
    with pytest.raises(UsageError, match=message):
        instruction(str(tmp_path / "mine.txt"))


@pytest.mark.parametrize("name", ["related-4", "random-", "random-x", "random-²", "Empty", ""])
def test_an_unknown_instruction_lists_those_there_are(name):
    with pytest.raises(
        UsageError,
        match=r"no instruction .*: choose related-1, related-2, related-3, unrelated-1, empty or ran.*or a .txt f",
    ):
        instruction(name)


@pytest.mark.parametrize(
    "content",
    [
        json.dumps({"templates": [f"{k} {{class}}" for k in range(10**5)]}),
        json.dumps({f"class {k}": ["a"] for k in range(10**5)}),
        json.dumps({"happy": ["x" * 10**6]}),
        '{"happy": [' + "[" * 10**5,
        '{"happy": ' + "7" * 6000 + "}",
        '{"happy": [NaN]}',
        " " * (17 << 20),
    ],
    ids=["templates", "classes", "a long prompt", "deep", "digits", "NaN", "a long file"],
)
def test_a_file_beyond_all_use_is_one_line(tmp_path, content):
    (tmp_path / "mine.json").write_text(content)
    with pytest.raises(UsageError, match=r"mine\.json: ") as error:
        prompt_set(str(tmp_path / "mine.json"))
    assert len(str(error.value)) < 4000
