"""What is said of an evaluation before it begins: options that change nothing, and sides that are left out."""

from collections.abc import Sequence

from ...commands.evaluate import Evaluate
from ...commands.unused import NO_CLIPS, note_unused
from ...manifests.manifest import Manifest
from ...manifests.prompts import PromptSet
from ...pipeline.needs import canonical_model
from ...reports.console import say
from .asked import BRIDGED, CLIP, LLM, Asked


def note_unused_options(
    request: Evaluate, asked: Asked, manifests: Sequence[Manifest], prompt_sets: Sequence[PromptSet]
) -> None:
    """Say which options were given that change nothing of what is compared."""
    if all(manifest.kind != "clips" for manifest in manifests):
        note_unused(request, ("frames", "order"), NO_CLIPS)
    if not any(_averages(prompts, manifest) for prompts in prompt_sets for manifest in manifests):
        note_unused(request, "ensemble", "every class has one prompt")
    if asked.sides == {(LLM, LLM)}:
        note_unused(request, ("clip", "head"), "the LLM encodes images and prompts, and no head is needed")
    if (LLM, LLM) in asked.sides:
        return
    if asked.sides == {(CLIP, CLIP)}:
        note_unused(request, ("teacher", "instruction"), "CLIP encodes images and prompts")
        return
    note_unused(request, "instruction", "every head brings the instruction that it learnt from")
    if canonical_model("llm", request.teacher) not in _teachers(asked):
        note_unused(request, "teacher", "every head brings the teacher that it learnt from, and this is none of them")


def note_left_out(asked: Asked) -> None:
    """Say what is not compared, because no head leads between two sides, or fits some features."""
    if asked.sides & BRIDGED and not _teachers(asked):
        sides = " and ".join(f"image {image} with text {text}" for image, text in sorted(asked.sides & BRIDGED))
        say(f"note: {sides}: left out, as no head that is scored leads from CLIP's space to the LLM's")
    for need in asked.left_out:
        header = asked.headers[need]
        say(f"note: {header.dataset} under {header.model}: left out, as none of the heads fits")


def _averages(prompts: PromptSet, manifest: Manifest) -> bool:
    """Whether a class of a data set has several prompts."""
    known = prompts.covering(manifest.classes, ()).prompts
    return any(len(known.get(name, ())) > 1 for name in manifest.classes)


def _teachers(asked: Asked) -> set[str]:
    """What taught the heads that lead from CLIP's space to an LLM's."""
    return {one.card.teacher for one in asked.known if one.card and one.teaching}
