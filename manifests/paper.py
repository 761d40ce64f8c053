"""The paper's tables: what their rows compare, and the published numbers. Source: Exp-CLIP, WACV 2025."""

import csv
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

from pydantic import BaseModel

from ..errors import UsageError, one_of

TRAIN = "caer-s"
DATASETS = ("RAF-DB", "AffectNet-7", "AffectNet-8", "FERPlus", "DFEW", "FERV39k", "MAFW", "AFEW")
"""The columns of every table; in lower case they are names in the catalogue."""
OURS = "Exp-CLIP"
PLAIN = "CLIP"
NOT_ASKED = "it is not among the backbones that are asked for"
"""Why another system has no number where backbones are named."""


class _Entry(BaseModel, extra="forbid", frozen=True, defer_build=True):
    """An entry of `rows` in paper_tables.toml."""

    head: str = "linear"
    objective: str = "infonce"
    instructions: tuple[str, ...] = ("related-1",)
    published: str = "describer"
    image: str = "clip"
    text: str = "clip"
    prompts: tuple[str, ...] = ("P-3",)


class _Other(BaseModel, extra="forbid", frozen=True, defer_build=True):
    """Another system in a table: the model that is scored as plain CLIP is, or why there is none."""

    backbone: str = ""
    why_not: str = ""
    remark: str = ""


class TableOfPaper(BaseModel, extra="forbid", frozen=True, defer_build=True):
    """One table: its rows, which are repeated for each backbone, and the other systems in it."""

    title: str
    backbones: tuple[str, ...]
    rows: tuple[_Entry, ...]
    others: dict[str, _Other] = {}
    """The systems that are neither CLIP nor Exp-CLIP."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RowOfPaper:
    """One row of a table."""

    table: str
    method: str
    backbone: str = ""
    head: str = "none"
    """Kind of the head, or "none"."""
    objective: str = ""
    instructions: tuple[str, ...] = ()
    """What the teacher is asked; the scores of several are averaged."""
    published: str = ""
    """What the paper calls these instructions."""
    image: str = "clip"
    text: str = "clip"
    prompts: str = "P-3"
    why_not: str = ""
    """Why it cannot be scored from a cache; empty where it can."""
    remark: str = ""
    """What a person should know of it, and of what is published."""

    @property
    def is_other(self) -> bool:
        """Whether it is of another system."""
        return self.method not in (OURS, PLAIN)

    @property
    def needs_head(self) -> bool:
        return self.head != "none"

    @property
    def needs_teacher(self) -> bool:
        return self.needs_head or self.image == "llm"


@cache
def paper_tables() -> dict[str, TableOfPaper]:
    """The tables that can be reproduced, by their names in the paper."""
    text = files(__name__.rpartition(".")[0]).joinpath("paper_tables.toml").read_text(encoding="utf-8")
    return {name: TableOfPaper.model_validate(table) for name, table in tomllib.loads(text).items()}


def paper_table(name: str) -> TableOfPaper:
    """A table by its name. Raises UsageError where the paper has no such table of scores."""
    if name not in paper_tables():
        raise UsageError(
            f"the paper has no table {name!r} of scores: choose {one_of(paper_tables())}, or dfer for DFER-CLIP's"
        )
    return paper_tables()[name]


def rows_of(
    name: str, backbones: Sequence[str] | None = None, others: Mapping[str, Sequence[str]] | None = None
) -> list[RowOfPaper]:
    """The rows of a table, for its own backbones or for those given.

    `others` are the models of other systems that are scored, by method, if they are not the table's own.
    """
    table = paper_table(name)
    found = []
    for method, other in table.others.items():
        row = RowOfPaper(name, method, why_not=other.why_not, remark=other.remark)
        models = () if other.why_not else (others or {}).get(method, [other.backbone])
        found += [replace(row, backbone=model) for model in models]
        if not models:
            found.append(replace(row, why_not=other.why_not or NOT_ASKED))
    for backbone in table.backbones if backbones is None else backbones:
        found += [row for entry in table.rows for row in _rows(name, entry, backbone)]
    return found


def _rows(table: str, entry: _Entry, backbone: str) -> Iterator[RowOfPaper]:
    row = RowOfPaper(table, PLAIN, backbone, entry.head, image=entry.image, text=entry.text)
    if row.needs_teacher:
        row = replace(row, method=OURS, instructions=entry.instructions, published=entry.published)
    if row.needs_head:
        row = replace(row, objective=entry.objective)
    for prompts in entry.prompts:
        yield replace(row, prompts=prompts)


def published_score(row: RowOfPaper, dataset: str) -> tuple[float, float] | None:
    """UAR and WAR in percent that the paper reports for a row and a data set of the catalogue, if any."""
    backbone = "" if row.is_other else row.backbone
    key = row.table, row.method, backbone, row.head, row.published, row.image, row.text, row.prompts
    return _published().get((*key, dataset))


_SIDE = {"": "clip", "CLIP": "clip", "CLIP+PH": "clip", "LLM": "llm"}


def published_methods(table: str) -> list[str]:
    """The systems that a table has numbers of, in its order."""
    return list(dict.fromkeys(key[1] for key in _published() if key[0] == table))


@cache
def _published() -> dict[tuple[str, ...], tuple[float, float]]:
    text = files(__name__.rpartition(".")[0]).joinpath("published_results.csv").read_text(encoding="utf-8")
    found = {}
    for line in csv.DictReader(text.splitlines()):
        sides = _SIDE[line["image_encoder"]], _SIDE[line["text_encoder"]]
        has_head = line["head"] and sides != ("llm", "llm")  # there is none between the two sides of the LLM
        head = line["head"] if has_head else "none"
        key = line["table"], line["method"], line["backbone"], head, line["instruction"], *sides, line["prompt"]
        found[*key, line["dataset"].lower()] = float(line["uar"]), float(line["war"])
    return found
