"""Prompt sets (what the classes are called) and instructions (what the teacher is asked)."""

import hashlib
import json
import random
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from pathlib import Path

from ..errors import UsageError, one_of, option
from ..untrusted import parse_json, read_text
from .classes import CLASSES, MOST_COMPARED, class_names, nearest_class
from .protocols import PROTOCOLS, RELEASED

DEFAULT_INSTRUCTION = "related-1"
PROMPT_SETS = ("P-1", "P-2", "P-3", "P-4", "P-5")
"""Exp-CLIP's."""
DESCRIPTIONS = "descriptions"
"""What a face does in each of the common classes, in our own words, as DFER-CLIP describes them in others."""
_CLASS, _TEMPLATES = "{class}", "templates"
_MARK, _MARK_DIGITS = "~", 8
"""Between the title of a user's text and its digest; no other name of an instruction contains it."""
_MARKED = f"{_MARK}[0-9a-f]{{{_MARK_DIGITS}}}"
_MOST_BYTES, _MOST_TEXTS, _LONGEST_TEXT = 16 << 20, 1000, 10_000
"""Of a file, of one class, and of one prompt: more than any model or method has use for."""
_WORDS_SHOWN, _TITLE = 4, 32
"""How many words and letters of a text its name shows."""


@dataclass(frozen=True)
class PromptSet:
    """One or more prompts for each class."""

    name: str
    prompts: dict[str, tuple[str, ...]]
    templates: tuple[str, ...] = ()
    """What the prompts of any other class are made from; empty where every class has its own words."""
    said: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The prompts by the user's own words for the classes: what these mean depends on the data set's classes too."""

    def covering(self, classes: Sequence[str], needed: Collection[str] | None = None) -> "PromptSet":
        """The same prompts, and those of other classes, where a class's own word goes before others that mean it.

        Raises UsageError for a class without any; of classes that are not `needed` the result may lack them.
        """
        prompts = _by_meaning(self.said, classes) if self.said else self.prompts
        missing = [name for name in classes if name not in prompts]
        lacking = [name for name in missing if needed is None or name in needed]
        if lacking and not self.templates:
            close = {word: nearest_class(word, lacking) for word in self.said}
            meant = "".join(f"{word}: did you mean {name}? " for word, name in close.items() if name in lacking)
            raise UsageError(
                f"the prompt set {self.name} has no prompt for {', '.join(lacking)}: {meant}give them one in a file, "
                f"or choose templates such as P-3 with {option('prompts')}"
            )
        return replace(self, prompts=prompts | (_filled(self.templates, missing) if self.templates else {}))

    @property
    def texts(self) -> tuple[str, ...]:
        """The distinct prompts, in order."""
        return tuple(dict.fromkeys(text for texts in self.prompts.values() for text in texts))


@dataclass(frozen=True)
class Instruction:
    """What the teacher is told to do with the image."""

    name: str
    text: str


def prompt_set(name: str, protocol: str | None = None) -> PromptSet:
    """A prompt set by name, or from a user's file, which gives its stem as the name.

    A .json file holds `{"class": ["prompt", …], …}` with class names or synonyms, or `{"templates": ["…", …]}`; a
    .txt file holds one template per line. In a template `{class}` stands for any class; P-4 and P-5 have their own
    words for each common class. Source: Exp-CLIP's Table A; under the paper protocol P-5 is the ten templates of the
    paper's appendix. Raises UsageError for an unknown name or a file of another form.
    """
    if name in PROMPT_SETS:
        name = PROTOCOLS[protocol or RELEASED].ten_templates if name == "P-5" else name
        if name in _data()["templates"]:
            return _of_templates(name, _data()["templates"][name])
        return PromptSet(name, {c: tuple(texts) for c, texts in _data()["released"][name].items()})
    if name == DESCRIPTIONS:
        return PromptSet(name, {c: (text,) for c, text in _data()[DESCRIPTIONS].items()})
    path = Path(name)
    suffix = path.suffix.lower()
    if suffix not in (".json", ".txt"):
        raise UsageError(
            f"no prompt set {name!r}: choose {one_of(PROMPT_SETS)}, or give a .json or .txt file; {DESCRIPTIONS} "
            f"says what faces do"
        )
    text = _read_text(path, "prompt")
    title = (
        f"{path.stem}-file"
        if path.stem in {*PROMPT_SETS, DESCRIPTIONS, *(one.ten_templates for one in PROTOCOLS.values())}
        else path.stem
    )
    if suffix == ".json":
        return _from_json(path, title, text)
    return _from_templates(path, title, [line.strip() for line in text.splitlines() if line.strip()])


def _of_templates(name: str, templates: Sequence[str]) -> PromptSet:
    return PromptSet(name, _filled(templates, CLASSES), tuple(templates))


def _filled(templates: Sequence[str], classes: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The templates filled with the name of each class, in which an underscore stands for a space."""
    words = {name: name.replace("_", " ") for name in classes}
    return {name: tuple(text.replace(_CLASS, said) for text in templates) for name, said in words.items()}


def instruction(asked: str) -> Instruction:
    """An instruction by name, as a text, or from a .txt file.

    Names are related-1 … related-3 of the paper's Table 3, unrelated-1, `empty`, and `random-K`, eight words drawn
    with seed K; the paper's task-unrelated wording is unpublished: unrelated-1 asks about appearance. Anything else
    that contains a space is the text itself. The user's text is named after its file or its first words and, so that
    no two texts share a name, the first digits of its SHA-256; a text that already has a name keeps it. White space
    counts as one space. Raises UsageError for an unknown name and for a file that cannot be read.
    """
    path = Path(asked)
    if path.suffix.lower() == ".txt":
        return _named(path.stem, _read_text(path, "instruction"), f"{path}")
    if any(c.isspace() for c in asked.strip()):
        return _named(" ".join(asked.split()[:_WORDS_SHOWN]), asked, f"{option('instruction')} {asked!r}")
    worded = _data()["instructions"]
    if asked in worded:
        return Instruction(asked, worded[asked])
    drawn = re.fullmatch(r"random-([0-9]{1,9})", asked)
    if drawn:
        return Instruction(asked, " ".join(random.Random(int(drawn[1])).sample(_data()["random_words"], 8)) + ".")
    raise UsageError(
        f"no instruction {asked!r}: choose {one_of([*worded, 'random-1, random-2, …'])}, "
        f"or give a text with a space in it or a .txt file"
    )


def instruction_name(asked: str) -> str:
    """What an instruction is called in the cache; a name that the cache shows for a user's text is kept."""
    return asked if re.fullmatch(rf"\S+{_MARKED}", asked) else instruction(asked).name


def names_instruction(name: str, text: str) -> bool:
    """Whether an instruction with a text may be called so in the cache."""
    if re.search(f"{_MARKED}$", name):
        return name.endswith(text_mark(text))
    try:
        return instruction(name).text == text
    except UsageError:  # of another version
        return True


def without_title(name: str) -> str:
    """Of the name of a user's text its end, which is the same whatever title the text has; other names stay."""
    found = re.search(f"{_MARKED}$", name)
    return found[0] if found else name


def text_mark(text: str) -> str:
    """The end of the name of a user's text, different for every text."""
    return _MARK + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_MARK_DIGITS]


def _named(title: str, content: str, where: str) -> Instruction:
    text = " ".join(content.split())
    if len(text) > _LONGEST_TEXT:
        raise UsageError(f"{where}: an instruction has up to {_LONGEST_TEXT:,} letters, and this one {len(text):,}")
    if not _is_text(text):
        raise UsageError(f"{where}: an instruction needs words that can be stored; write `empty` for none")
    known = next((name for name, worded in _data()["instructions"].items() if worded == text), None)
    words = re.sub(r"[\W_]+", "-", title[:_TITLE]).strip("-").lower() or "text"
    return Instruction(known or words + text_mark(text), text)


def _read_text(path: Path, kind: str) -> str:
    try:
        return read_text(path, _MOST_BYTES)
    except OSError as error:
        raise UsageError(f"{path}: the {kind} file cannot be read ({error.strerror}): correct the path") from error
    except ValueError as error:
        raise UsageError(f"{path}: not a text in UTF-8 ({error}): save it as such") from error


def _from_json(path: Path, name: str, text: str) -> PromptSet:
    try:
        pairs = parse_json(text, object_pairs_hook=tuple)
    except ValueError as error:
        raise UsageError(f"{path}: not JSON in UTF-8 ({error}): correct it there") from error
    if not isinstance(pairs, tuple) or not pairs:
        raise UsageError(f'{path}: expected {{"class": ["prompt", …], …}} or {{"templates": ["…", …]}}')
    if [key for key, _ in pairs] == [_TEMPLATES]:
        return _from_templates(path, name, pairs[0][1])
    said = _by_class(path, pairs)
    return PromptSet(name, _by_meaning(said), said=said)


def _from_templates(path: Path, name: str, templates: object) -> PromptSet:
    """Templates for all classes: each must say where the class goes, or all classes would share its prompt."""
    texts = _texts(path, _TEMPLATES, templates)
    for template in texts:
        if _CLASS not in template:
            raise UsageError(f"{path}: the template {template!r} lacks {_CLASS}: write it where the class belongs")
    return _of_templates(name, texts)


def _by_class(path: Path, pairs: Sequence[tuple[str, object]]) -> dict[str, tuple[str, ...]]:
    words = [word for word, _ in pairs]
    if len(words) > MOST_COMPARED:
        raise UsageError(f"{path}: {len(words):,} classes: up to {MOST_COMPARED:,} can be told apart")
    meaning, seen = class_names(words).of, set()
    for word in words:
        if meaning[word] == _TEMPLATES:
            raise UsageError(f"{path}: {word!r} is not a class: give either templates or prompts by class")
        if meaning[word] in seen:
            raise UsageError(f"{path}: {meaning[word]} occurs twice ({word!r}): put its prompts into one list")
        seen.add(meaning[word])
    return {word: _texts(path, word, texts) for word, texts in pairs}


def _by_meaning(said: Mapping[str, tuple[str, ...]], classes: Sequence[str] = ()) -> dict[str, tuple[str, ...]]:
    """The prompts by class; the names of the data set's own classes mean these."""
    meaning = class_names(said, apart=classes).of
    return {meaning[word]: texts for word, texts in said.items()}


def _texts(path: Path, name: str, texts: object) -> tuple[str, ...]:
    if not isinstance(texts, list) or not texts or not all(_is_text(text) for text in texts):
        raise UsageError(f"{path}: {name!r} needs a list of one or more prompts, each a non-empty text")
    if len(texts) > _MOST_TEXTS or max(map(len, texts)) > _LONGEST_TEXT:
        raise UsageError(
            f"{path}: {name!r} has {len(texts):,} prompts, the longest of {max(map(len, texts)):,} letters: up to "
            f"{_MOST_TEXTS:,} prompts of up to {_LONGEST_TEXT:,} letters can be encoded"
        )
    return tuple(texts)


def _is_text(text: object) -> bool:
    """Zero bytes and lone surrogates, which JSON can spell, cannot be stored."""
    return isinstance(text, str) and bool(text.strip()) and not re.search("[\0\ud800-\udfff]", text)


@cache
def _data() -> dict:
    return json.loads(files(__name__.rpartition(".")[0]).joinpath("prompts.json").read_text(encoding="utf-8"))
