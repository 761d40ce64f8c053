"""`expclip heads`: the heads of a cache, bringing others in, and handing them over."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..heads.recipe import MOST_SEED
from ..heads.saving import Kept
from ..reports.console import print_line
from ..settings import cache_folder, read_settings
from . import options
from .command import REMARK, Command, note_untrained, print_records
from .request import Request, ask


class ListHeads(Request, verb="heads list"):
    """The heads of the cache."""

    cache: Path | None = options.CACHE


_COLUMNS = {"id": "id", "backbone": "backbone", "head": "label", "trained on": "train", "protocol": "protocol"}


def show_heads(request: ListHeads, answer: list[Kept]) -> None:
    """A line per head."""
    print_records(
        f"{cache_folder(request.cache, read_settings()) / 'heads'}", [card for _, card in answer], _COLUMNS | REMARK
    )


def heads_document(request: ListHeads, answer: list[Kept]) -> list[dict[str, Any]]:
    """What --json prints: the cards."""
    return [asdict(card) | {"path": path} for path, card in answer]


LIST_HEADS = Command(ListHeads, "stages.heads:list_heads", show_heads, heads_document)


class ImportHead(Request, verb="heads import"):
    """Bring a head into the cache: one of Exp-CLIP's released files, or what `expclip heads export` wrote.

    Only tensors are read from the file; nothing is unpickled. Example:

    `expclip heads import head.pth --features raf-db --clip ViT-L-14 --train caer-s --seed 1`
    """

    file: Path = ask(
        "A .pth or .safetensors with one linear weight, or an exported head.", is_argument=True, in_file=False
    )
    features: str = ask(
        "A data set whose cached image features are of the kind that the head projects. Not needed for a file of "
        "`expclip heads export`.",
        "",
        metavar="DATASET",
        in_file=False,
    )
    clip: str = options.CLIP.but(help="The head's CLIP.", default=options.DEFAULT_CLIP)
    teacher: str = options.TEACHER
    instruction: str = options.INSTRUCTION.but(
        help="What its teacher was asked.", default=options.DEFAULT_INSTRUCTION
    )
    protocol: str = options.PROTOCOL
    dtype: str | None = options.DTYPE
    objective: str = options.OBJECTIVE
    train: str = ask("What it was trained on, if known.", "", metavar="NAME", in_file=False)
    seed: int | None = ask("Its seed, if known.", None, unset="none", least=0, most=MOST_SEED)
    cache: Path | None = options.CACHE


def show_head(request: Any, answer: Kept) -> None:
    """One line."""
    path, card = answer
    print_line(f"{path}: {card.label}, for {card.backbone} ({card.protocol})")
    note_untrained([card.untrained])


IMPORT_HEAD = Command(ImportHead, "stages.heads:import_head", show_head)


class ExportHead(Request, verb="heads export"):
    """Write a head to one file. `evaluate --head FILE` takes the .safetensors."""

    head: str = ask(
        "The head's folder, or the beginning of its id.", metavar="ID|DIR", is_argument=True, in_file=False
    )
    file: Path = ask(
        "The file to write: .pth, or .safetensors, which says what head it is.", is_argument=True, in_file=False
    )
    square: bool = ask("As the L × L matrix that predicts the same as a linear head's L' × L.", False)
    cache: Path | None = options.CACHE


EXPORT_HEAD = Command(ExportHead, "stages.heads:export_head", show_head)
