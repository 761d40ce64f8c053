"""The commands that the paper's tables need, and how far each is."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from ...commands.evaluate import RESULTS
from ...commands.reproduce import Reproduce, Step
from ...heads.kinds import KINDS
from ...manifests.paper import RowOfPaper
from ...manifests.prompts import prompt_set
from ...pipeline.checks import may_have_clips
from ...pipeline.extractions import extract_command
from ...pipeline.needs import Need, canonical_model, is_there
from ...pipeline.texts import stores_of_texts
from ...pipeline.workspace import Workspace
from .known_heads import PaperHeads
from .other_systems import conversion
from .requests import clips_of, evaluate_request, fit_request, frames_of, instructions_of


def paper_steps(
    workspace: Workspace, request: Reproduce, known: PaperHeads, rows: Sequence[RowOfPaper]
) -> tuple[Step, ...]:
    """The commands that make everything that some rows need, in order; other systems have theirs each."""
    others = dict.fromkeys(row for row in rows if row.is_other)
    rows = [row for row in rows if not row.is_other]
    of_kind: dict[tuple[str, str], list[RowOfPaper]] = defaultdict(list)
    for row in rows:
        if row.needs_head:
            of_kind[row.head, row.objective].append(row)
    with_head = [row for some in of_kind.values() for row in some]
    return (
        *([_extract_train(workspace, request, with_head)] if with_head else []),
        *(_fit(request, known, some) for some in of_kind.values()),
        *_extract_tests(workspace, request, rows),
        *_encode_prompts(workspace, request, rows),
        *(step for row in others for step in _of_other(workspace, request, row)),
    )


def _of_other(workspace: Workspace, request: Reproduce, row: RowOfPaper) -> list[Step]:
    """Those of another system, whose weights may not be had."""
    steps = [*_extract_tests(workspace, request, [row]), *_encode_prompts(workspace, request, [row])]
    first = conversion(row) if any(step.have < step.of for step in steps) else None
    return [first, *steps] if first else steps


def _extract_train(workspace: Workspace, request: Reproduce, rows: Sequence[RowOfPaper]) -> Step:
    images = [(request.train, "clip_image", clip, "") for clip in clips_of(rows)]
    e_g = [(request.train, "llm", request.teacher, name) for name in instructions_of(rows)]
    return _extraction(workspace, request, [*images, *e_g])


def _fit(request: Reproduce, known: PaperHeads, rows: Sequence[RowOfPaper]) -> Step:
    """One command for all heads of one kind."""
    fit = fit_request(request, rows)
    seeds = fit.seed if KINDS[rows[0].head].has_steps else (None,)
    wanted = {(row.backbone, name): known.fitting(row, name) for row in rows for name in row.instructions}
    have = sum(len({card.seed for card in cards} & set(seeds)) for cards in wanted.values())
    return Step(fit.command(), "heads", have, len(wanted) * len(seeds))


def _extract_tests(workspace: Workspace, request: Reproduce, rows: Sequence[RowOfPaper]) -> list[Step]:
    clips = clips_of(row for row in rows if "clip" in (row.image, row.text))
    instructions = instructions_of(row for row in rows if row.image == "llm")
    images = [(test, "clip_image", clip, "") for test in request.test for clip in clips]
    e_g = [(test, "llm", request.teacher, name) for test in request.test for name in instructions]
    frames = _frames(workspace, request, rows)
    return [_extraction(workspace, request, asked, frames) for asked in (images, e_g) if asked]


def _frames(workspace: Workspace, request: Reproduce, rows: Sequence[RowOfPaper]) -> str:
    """The frames that rows are scored by: those of another system's clip head, where there may be clips."""
    own = [frames_of(request, row.backbone) for row in rows if row.is_other]
    has_clips = own and any(may_have_clips(workspace, test) for test in request.test)
    return own[0] if has_clips else request.frames


def _extraction(
    workspace: Workspace, request: Reproduce, asked: Sequence[tuple[str, str, str, str]], frames: str | None = None
) -> Step:
    """One command for features: (data set, node, model, instruction)."""
    needs = [Need(*one, request.protocol, request.dtype, frames) for one in asked]
    have = sum(is_there(workspace, need) for need in needs)
    return Step(extract_command(workspace, needs), "stores", have, len(needs))


def _encode_prompts(workspace: Workspace, request: Reproduce, rows: Sequence[RowOfPaper]) -> list[Step]:
    """`evaluate` is what encodes prompts; it scores too."""
    by_text: dict[str, list[RowOfPaper]] = defaultdict(list)
    for row in rows:
        by_text[row.text].append(row)
    steps = []
    for text, some in by_text.items():
        models = clips_of(some) if text == "clip" else (request.teacher,)
        prompts = tuple(dict.fromkeys(row.prompts for row in some))
        have = sum(_has_prompts(workspace, request, text, model, name) for model in models for name in prompts)
        by: dict[str, Any] = {"image": (text,), "text": (text,), "teacher": request.teacher}
        asked = {"clip": models} if text == "clip" else by
        asked |= {"frames": _frames(workspace, request, some)}
        evaluation = evaluate_request(request, request.test, prompts=prompts, out=RESULTS, **asked)
        steps.append(Step(evaluation.command(), "stores", have, len(models) * len(prompts)))
    return steps


def _has_prompts(workspace: Workspace, request: Reproduce, text: str, model: str, prompts: str) -> bool:
    node = f"{text}_text"
    texts = prompt_set(prompts, request.protocol).texts
    held: dict[str, set[str]] = defaultdict(set)
    for store, known in stores_of_texts(workspace, node, texts, model=canonical_model(node, model)):
        held[store.header.encoder_digest].update(known)
    return any(known.issuperset(texts) for known in held.values())
