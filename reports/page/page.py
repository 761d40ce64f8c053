"""The page itself: one HTML file that asks for nothing and runs no script but its own."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ... import __version__
from .libraries import charts_script, own, tables_script, tables_style

GENERATOR = '<!doctype html>\n<meta name="generator" content="expclip">'
"""How a page of ours begins."""
_ACTIVE = re.compile("[<>&\u2028\u2029]")
_END = re.compile("</(script)", re.IGNORECASE)


@dataclass(frozen=True)
class Notice:
    """Something that a reader has to know."""

    text: str
    is_warning: bool = False


@dataclass(frozen=True, eq=False)
class Grid:
    """A table that is sorted and filtered."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    """Texts, and numbers for columns that hold numbers; None is an empty cell."""
    filters: Sequence[str] = ()
    """Columns with a choice of their values."""
    unsorted: Sequence[str] = ()
    """Columns that cannot be sorted by."""
    bold: Mapping[int, Sequence[int]] = field(default_factory=dict)
    """By row the columns whose cells are the best of their kind."""
    digits: Mapping[str, int] = field(default_factory=dict)
    """Of numbers, by column."""
    pictures: Sequence[str] = ()
    """JPEGs as base64, which cells of the first column name by their places."""


@dataclass(frozen=True, eq=False)
class Content:
    """All that is on the page."""

    title: str
    made: str
    """When, for people to read."""
    evaluations: Sequence[Any]
    notices: Sequence[Notice]
    scores: Grid
    sections: Sequence[Any]
    """One for each data set and backbone."""
    samples: Grid | None
    samples_note: Sequence[str]
    features: Sequence[Any]


def render(content: Content) -> str:
    """The page as a text. What comes of names is escaped: by Jinja in the page, in the data as JSON spells it."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    charts, glue = _as_script(charts_script()), _as_script(f"{tables_script()}\n{own('page.js')}")
    return environment.from_string(own("page.html.jinja")).render(
        content=content,
        version=__version__,
        generator=GENERATOR,
        policy=_policy(charts, glue),
        styles=f"{tables_style()}\n{own('page.css')}",
        charts=charts,
        glue=glue,
        data=_data(content),
    )


def _policy(*scripts: str) -> str:
    """A Content-Security-Policy under which only these scripts run, and nothing is asked for anywhere."""
    digests = (base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _as_script(code: str) -> str:
    """Code that does not end the element that it stands in."""
    return _END.sub(r"<\\/\1", code)


def _data(content: Content) -> str:
    """What the scripts show, as JSON that no parser of HTML takes for a tag."""
    grids = {"scores": content.scores, "samples": content.samples}
    charts = {f"{k}-{name}": figure for k, one in enumerate(content.sections) for name, figure in one.charts.items()}
    found = {"grids": {name: vars(grid) for name, grid in grids.items() if grid}, "charts": charts}
    text = json.dumps(found, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return _ACTIVE.sub(lambda active: f"\\u{ord(active[0]):04x}", text)
