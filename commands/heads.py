"""`expclip heads`: the heads of a cache, bringing others in, and handing them over."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.filesize import decimal as byte_count

from ..heads.kept import DamagedHead
from ..heads.recipe import MOST_SEED
from ..heads.saving import Kept
from ..reports.console import print_line
from ..settings import cache_folder, read_settings
from . import options
from .command import Command, as_document, note_untrained, print_records, untrained
from .request import Request, ask


class ListHeads(Request, verb="heads list"):
    """The heads of the cache."""

    cache: Path | None = options.CACHE


def _of_card(name: str) -> Callable[[Kept | DamagedHead], str]:
    """What a card says; nothing is known of a head that cannot be used."""
    return lambda one: "" if isinstance(one, DamagedHead) else str(getattr(one[1], name))


def _remark(one: Kept | DamagedHead) -> str:
    if isinstance(one, DamagedHead):
        return f"damaged: {one.problem}"
    return ", ".join(filter(None, ["imported" * one[1].imported, untrained(one[1].untrained)]))


_COLUMNS = {
    "id": lambda one: one[0].name,
    "backbone": _of_card("backbone"),
    "head": _of_card("label"),
    "trained on": _of_card("train"),
    "protocol": _of_card("protocol"),
    "remark": _remark,
}


def show_heads(request: ListHeads, answer: list[Kept | DamagedHead]) -> None:
    """A line per head."""
    print_records(f"{cache_folder(request.cache, read_settings()) / 'heads'}", answer, _COLUMNS)


def heads_document(request: ListHeads, answer: list[Kept | DamagedHead]) -> list[dict[str, Any]]:
    """What --json prints: the cards, and of a head that cannot be used why."""
    return [_line(one) for one in answer]


def _line(one: Kept | DamagedHead) -> dict[str, Any]:
    if isinstance(one, DamagedHead):
        return {"id": one.path.name, "path": one.path, "problem": one.problem}
    path, card = one
    return card.shown() | {"path": path}


LIST_HEADS = Command(ListHeads, "stages.heads:list_heads", show_heads, heads_document)


class RemoveHeads(Request, verb="heads rm"):
    """Remove heads from the cache, damaged ones too. Nothing is asked."""

    head: tuple[str, ...] = ask(
        "The beginnings of ids, or the heads' folders.", metavar="ID|DIR…", is_argument=True, in_file=False
    )
    cache: Path | None = options.CACHE


@dataclass(frozen=True)
class RemovedHead:
    """A head that is no more."""

    path: Path
    bytes: int


def show_removed(request: RemoveHeads, answer: list[RemovedHead]) -> None:
    """A line per head."""
    for one in answer:
        print_line(f"{one.path}: removed, {byte_count(one.bytes)}")


REMOVE_HEADS = Command(RemoveHeads, "stages.heads:remove_heads", show_removed, as_document)


class ImportHead(Request, verb="heads import"):
    """Bring a head into the cache: one of Exp-CLIP's released files, or what `expclip heads export` wrote.

    Or a classifier that `expclip weights convert` took out of one of DFER-CLIP's files.

    Only tensors are read from the file; nothing is unpickled. Example:

    `expclip heads import head.pth --features raf-db --clip ViT-L-14 --train caer-s --seed 1`
    """

    file: Path = ask(
        "A .pth or .safetensors with one linear weight, or an exported head.", is_argument=True, in_file=False
    )
    features: str = ask(
        "A data set whose cached image features are of the kind that the head projects; for a classifier the one "
        "that it was tested on. Not needed for a file of `expclip heads export`.",
        "",
        metavar="DATASET",
        in_file=False,
    )
    clip: str = options.CLIP.but(help="The head's CLIP.", default=options.DEFAULT_CLIP)
    teacher: str = options.TEACHER
    instruction: str = options.INSTRUCTION.but(
        help="What its teacher was asked.", default=options.DEFAULT_INSTRUCTION
    )
    protocol: str | None = options.PROTOCOL
    dtype: str | None = options.DTYPE
    objective: str = options.OBJECTIVE
    train: str = ask("What it was trained on, if known.", "", metavar="NAME", in_file=False)
    seed: int | None = ask("Its seed, if known.", None, unset="none", least=0, most=MOST_SEED)
    fold: int | None = ask(
        "The fold of the data set that a classifier was tested on: it scores no other.",
        None,
        unset="none",
        in_file=False,
    )
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
