"""The commands that the paper's tables need, and how far each is."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ..encoders.names import clip_name, teacher_name
from ..errors import UsageError
from ..heads.kinds import KINDS
from ..manifests.paper import RowOfPaper
from ..manifests.prompts import prompt_set
from .features import Choice, known_manifest
from .paper_heads import PaperHeads
from .paper_setting import Setting, clips_of, instructions_of, repeated
from .texts import stores_of_texts
from .workspace import Workspace

SEEDS = (1, 2, 3)
"""What `fit-head` fits where no seed is given; the paper reports the mean of three."""


@dataclass(frozen=True)
class Step:
    """A command, and how far it is."""

    command: str
    makes: str
    """Stores or heads."""
    have: int
    of: int

    @property
    def state(self) -> str:
        return f"{self.have} of {self.of} {self.makes}"


def paper_steps(
    workspace: Workspace, setting: Setting, known: PaperHeads, rows: Sequence[RowOfPaper]
) -> tuple[Step, ...]:
    """The commands that make everything that some rows need, in order."""
    of_kind: dict[tuple[str, str], list[RowOfPaper]] = defaultdict(list)
    for row in rows:
        if row.needs_head:
            of_kind[row.head, row.objective].append(row)
    with_head = [row for some in of_kind.values() for row in some]
    return (
        *([_extract_train(workspace, setting, with_head)] if with_head else []),
        *(_fit(setting, known, some) for some in of_kind.values()),
        *_extract_tests(workspace, setting, rows),
        *_encode_prompts(workspace, setting, rows),
    )


def _extract_train(workspace: Workspace, setting: Setting, rows: Sequence[RowOfPaper]) -> Step:
    clips, instructions = clips_of(rows), instructions_of(rows)
    choices = [_clip_choice(workspace, setting.train, clip) for clip in clips]
    choices += [_llm_choice(workspace, setting, setting.train, name) for name in instructions]
    what = (*repeated("--features", ["clip_image", "llm"]), *repeated("--clip", clips))
    asked = ("--teacher", setting.teacher, *repeated("--instruction", instructions))
    return _extraction(workspace, setting.command("extract", setting.train, *what, *asked), choices)


def _fit(setting: Setting, known: PaperHeads, rows: Sequence[RowOfPaper]) -> Step:
    """One command for all heads of one kind."""
    seeds = SEEDS if KINDS[rows[0].head].is_trained else (None,)
    wanted = {(row.backbone, name): known.fitting(row, name) for row in rows for name in row.instructions}
    have = sum(len({card.seed for card in cards} & set(seeds)) for cards in wanted.values())
    return Step(setting.fit_command(rows), "heads", have, len(wanted) * len(seeds))


def _extract_tests(workspace: Workspace, setting: Setting, rows: Sequence[RowOfPaper]) -> list[Step]:
    clips = clips_of(row for row in rows if "clip" in (row.image, row.text))
    instructions = instructions_of(row for row in rows if row.image == "llm")
    steps = []
    if clips:
        choices = [_clip_choice(workspace, test, clip) for test in setting.tests for clip in clips]
        command = setting.test_command("extract", "--features", "clip_image", *repeated("--clip", clips))
        steps.append(_extraction(workspace, command, choices))
    if instructions:
        choices = [_llm_choice(workspace, setting, test, name) for test in setting.tests for name in instructions]
        asked = ("--features", "llm", "--teacher", setting.teacher, *repeated("--instruction", instructions))
        steps.append(_extraction(workspace, setting.test_command("extract", *asked), choices))
    return steps


def _encode_prompts(workspace: Workspace, setting: Setting, rows: Sequence[RowOfPaper]) -> list[Step]:
    """`evaluate` is what encodes prompts; it scores too."""
    by_text: dict[str, list[RowOfPaper]] = defaultdict(list)
    for row in rows:
        by_text[row.text].append(row)
    steps = []
    for text, some in by_text.items():
        models = clips_of(some) if text == "clip" else [setting.teacher]
        prompts = list(dict.fromkeys(row.prompts for row in some))
        have = sum(_has_prompts(workspace, text, model, name) for model in models for name in prompts)
        by = repeated("--clip", models) if text == "clip" else ("--image", text, "--text", text, "--teacher", *models)
        command = setting.test_command("evaluate", *by, *repeated("--prompts", prompts))
        steps.append(Step(command, "stores", have, len(models) * len(prompts)))
    return steps


def _has_prompts(workspace: Workspace, text: str, model: str, prompts: str) -> bool:
    canonical = clip_name(model).canonical if text == "clip" else teacher_name(model).canonical
    texts = prompt_set(prompts, workspace.protocol).texts
    held: dict[str, set[str]] = defaultdict(set)
    for store, known in stores_of_texts(workspace.cache, f"{text}_text", texts, model=canonical):
        held[store.header.encoder_digest].update(known)
    return any(known.issuperset(texts) for known in held.values())


def _clip_choice(workspace: Workspace, dataset: str, clip: str) -> Choice:
    return Choice(dataset, "clip_image", clip, None, workspace.protocol, workspace.dtype)


def _llm_choice(workspace: Workspace, setting: Setting, dataset: str, instruction: str) -> Choice:
    return Choice(dataset, "llm", setting.teacher, instruction, workspace.protocol)


def _extraction(workspace: Workspace, command: str, choices: Sequence[Choice]) -> Step:
    return Step(command, "stores", sum(_is_there(workspace, choice) for choice in choices), len(choices))


def _is_there(workspace: Workspace, choice: Choice) -> bool:
    try:
        manifest = known_manifest(workspace.cache, workspace.dataset(choice.dataset))
    except UsageError:  # a data set that has no name in this version
        return False
    stores = workspace.cache.find(manifest.name, choice.node, **choice.fields(manifest)) if manifest else ()
    return any(store.is_complete() for store in stores)
