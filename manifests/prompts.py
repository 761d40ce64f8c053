"""Prompt sets (what the classes are called) and instructions (what the teacher is asked)."""

import json
import random
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from ..errors import UsageError
from .classes import CLASSES, class_index
from .manifest import Manifest, text_manifest

DEFAULT_INSTRUCTION = "related-1"
PROMPT_SETS = ("P-1", "P-2", "P-3", "P-4", "P-5")


@dataclass(frozen=True)
class PromptSet:
    """One or more prompts for each class."""

    name: str
    prompts: dict[str, tuple[str, ...]]

    def manifest(self) -> Manifest:
        """The prompts as a manifest of texts; the label of a text is the index of its class in `prompts`."""
        classes = tuple(self.prompts)
        texts = [(text, label) for label, name in enumerate(classes) for text in self.prompts[name]]
        return text_manifest(self.name, classes, texts)


@dataclass(frozen=True)
class Instruction:
    """What the teacher is told to do with the image."""

    name: str
    text: str


def prompt_set(name: str, protocol: str = "released") -> PromptSet:
    """A prompt set by name, or from a JSON file `{"class": ["prompt", …], …}` with class names or synonyms.

    Source: Exp-CLIP's Table A; under the paper protocol P-5 is the ten templates of the paper's appendix.
    Raises UsageError for an unknown name or a file of another form.
    """
    if name in PROMPT_SETS:
        if name == "P-5" and protocol == "paper":
            templates = _data()["paper_templates"]
            return PromptSet("P-5-paper", {c: tuple(t.format(**{"class": c}) for t in templates) for c in CLASSES})
        return PromptSet(name, {c: tuple(texts) for c, texts in _data()["released"][name].items()})
    path = Path(name)
    if path.suffix.lower() == ".json":
        taken = path.stem in (*PROMPT_SETS, "P-5-paper")
        return PromptSet(f"{path.stem}-file" if taken else path.stem, _read_prompts(path))
    raise UsageError(f"no prompt set {name!r}: there are {', '.join(PROMPT_SETS)}, or give a .json file")


def instruction(name: str) -> Instruction:
    """An instruction by name: related-1 … related-3 of the paper's Table 3, unrelated-1, `empty`, or `random-K`.

    The paper's task-unrelated wording is unpublished: unrelated-1 asks for looks, `random-K` is eight words drawn
    from seed K.
    """
    worded = _data()["instructions"]
    if name in worded:
        return Instruction(name, worded[name])
    if name == "empty":
        return Instruction(name, "")
    drawn = re.fullmatch(r"random-([0-9]{1,9})", name)
    if drawn:
        return Instruction(name, " ".join(random.Random(int(drawn[1])).sample(_WORDS, 8)) + ".")
    raise UsageError(f"no instruction {name!r}: there are {', '.join(worded)}, empty and random-1, random-2, …")


_WORDS = [
    "river",
    "copper",
    "window",
    "bicycle",
    "paper",
    "mountain",
    "engine",
    "garlic",
    "ladder",
    "winter",
    "carpet",
    "harbour",
    "pencil",
    "granite",
    "kettle",
    "orbit",
    "meadow",
    "ticket",
    "violin",
    "cement",
]


def _read_prompts(path: Path) -> dict[str, tuple[str, ...]]:
    def known(pairs: list[tuple[str, object]]) -> dict[str, tuple[str, ...]]:
        prompts: dict[str, tuple[str, ...]] = {}
        for name, texts in pairs:
            index = class_index(name)
            if index is None:
                raise UsageError(f"{path}: {name!r} is no class: write one of {', '.join(CLASSES)}")
            if CLASSES[index] in prompts:
                raise UsageError(f"{path}: {CLASSES[index]} occurs twice ({name!r}): put its prompts into one list")
            if not isinstance(texts, list) or not texts or not all(_is_prompt(text) for text in texts):
                raise UsageError(
                    f"{path}: {name!r} needs a list of one or more prompts, each a text that is not empty"
                )
            prompts[CLASSES[index]] = tuple(texts)
        return prompts

    try:
        prompts = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=known)
    except OSError as error:
        raise UsageError(f"{path}: the prompt file cannot be read ({error.strerror}): correct the path") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: this is no JSON in UTF-8 ({error}): correct it there") from error
    if not isinstance(prompts, dict) or not prompts:
        raise UsageError(f'{path}: expected {{"class": ["prompt", …], …}}')
    return prompts


def _is_prompt(text: object) -> bool:
    """Zero bytes and lone surrogates, which JSON can spell, are no text that can be stored."""
    return isinstance(text, str) and bool(text.strip()) and not re.search("[\0\ud800-\udfff]", text)


@cache
def _data() -> dict:
    return json.loads(files(__name__.rpartition(".")[0]).joinpath("prompts.json").read_text(encoding="utf-8"))
