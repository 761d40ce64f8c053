"""The libraries of the page: plotly.js for its charts, DataTables for its tables, Jinja for the page itself."""

import re
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from ...errors import UsageError

_NEEDED = ("jinja2", "plotly", "itables")
_EXPORT = re.compile(r"export\{([^{}]*)\};?")
_INSTALL = "pip install 'expclip[report]'"


def refuse_missing() -> None:
    """Raise UsageError where one of the libraries is not installed; none is imported."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise UsageError(f"the page needs {' and '.join(missing)}: run `{_INSTALL}`")


@cache
def charts_script() -> str:
    """plotly.js, which makes `Plotly`."""
    return files("plotly").joinpath("package_data", "plotly.min.js").read_text(encoding="utf-8")


@cache
def tables_script() -> str:
    """DataTables as itables bundles it, as a part of a module: what it exports are the fields of `bundle`."""
    code = files("itables").joinpath("html", "dt_bundle.js").read_text(encoding="utf-8")
    exports = _EXPORT.findall(code)
    if len(exports) != 1:
        raise UsageError(f"the page cannot use this version of itables: run `{_INSTALL} --upgrade`")
    names = (one.strip().split(" as ") for one in exports[0].split(","))
    fields = ", ".join(f'"{name[-1]}": {name[0]}' for name in names)
    return _EXPORT.sub(lambda _: f"const bundle = {{{fields}}};", code)


@cache
def tables_style() -> str:
    """The style of DataTables."""
    return files("itables").joinpath("html", "dt_bundle.css").read_text(encoding="utf-8")


def own(name: str) -> str:
    """A file of the page that lies beside this module."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
