"""The classifier of a released file of DFER-CLIP: what is asked of it, what is checked, and what is written."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..errors import UsageError, brief, option
from ..manifests.classes import CLASSES, are_common, numbered_classes
from ..manifests.prompts import PromptSet
from .dfer_file import DferFile
from .dfer_prompts import RELEASED_LENGTHS, ReadPrompt, directions, read_prompts, tokens_of

_TEXTS = "texts"
_SETS = (7, len(CLASSES))
"""How many classes released files tell apart: the first of the common ones, in their order."""


@dataclass(frozen=True, eq=False)
class Classifier:
    """A classifier that was read."""

    tensors: dict[str, torch.Tensor]
    """By the names that heads of the kind dfer-clip have."""
    prompts: dict[str, str]
    """What the prompt of each class reads, but for the vectors that were learnt."""
    unlike: tuple[str, ...]
    """Classes whose descriptions have other lengths than the released ones, where nobody said what they should be."""


def classes_in_order(count: int, words: Sequence[str], source: object) -> tuple[str, ...]:
    """The classes that a file tells apart, as words name them. Raises UsageError where that is not known."""
    if not words and count not in _SETS:
        raise UsageError(f"{source} tells {count} classes apart: name them in its order with {option('classes')}")
    if not words or are_common(words):
        return CLASSES[:count]
    found = numbered_classes(words)
    if len(found) != count:
        raise UsageError(f"{option('classes')}: {len(found)} names, and {source} tells {count} classes apart")
    return found


def classifier_of(file: DferFile, classes: Sequence[str], expected: PromptSet | None, source: object) -> Classifier:
    """The classifier in a file, whose descriptions must be the `expected` ones where some are given.

    Raises UsageError where they are not, ValueError where the file has no sound prompts.
    """
    prompts = read_prompts(file, classes)
    if expected is not None:
        _refuse_others(expected, dict(zip(classes, prompts, strict=True)), source)
    texts = torch.from_numpy(directions(file, prompts))
    read = {name: one.text for name, one in zip(classes, prompts, strict=True)}
    unlike = _unlike_released(classes, prompts) if expected is None else ()
    return Classifier(file.temporal | {_TEXTS: texts}, read, unlike)


def _refuse_others(expected: PromptSet, found: dict[str, ReadPrompt], source: object) -> None:
    wanted = expected.covering(list(found)).prompts
    for name, prompt in found.items():
        text, *others = wanted[name]
        if others:
            raise UsageError(f"{option('prompts')}: {expected.name} has several prompts for {name}: give one")
        if tokens_of(text) != prompt.tokens:
            raise UsageError(
                f"{option('prompts')} {expected.name}: the prompt of {name} in {source} reads {brief(prompt.text)}, "
                f"and this says {brief(text)}: its text is of another kind, or its classes have another order"
            )


def _unlike_released(classes: Sequence[str], prompts: Sequence[ReadPrompt]) -> tuple[str, ...]:
    """Those classes of a released set whose descriptions have other lengths."""
    if len(classes) not in _SETS or tuple(classes) != CLASSES[: len(classes)]:
        return ()
    return tuple(
        name
        for name, prompt, length in zip(classes, prompts, RELEASED_LENGTHS, strict=False)
        if len(prompt.tokens) != length
    )
