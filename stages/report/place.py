"""Where a page may be written."""

from pathlib import Path

from ...errors import UsageError, option
from ...manifests.disk import kind_of
from ...pipeline.checks import refuse_file
from ...reports.page.libraries import refuse_missing
from ...reports.page.page import GENERATOR


def refuse_page(out: Path, name: str = "out") -> None:
    """Raise UsageError where no page can be written: a library lacks, or something else is there.

    `name` is the option that chose the place.
    """
    refuse_missing()
    refuse_file(out)
    if kind_of(out) != "file":
        return
    try:
        with out.open("rb") as file:
            is_ours = file.read(len(GENERATOR)) == GENERATOR.encode()
    except OSError as error:
        raise UsageError(
            f"{option(name)} {out}: this file cannot be read ({error.strerror}): choose another"
        ) from error
    if not is_ours:
        raise UsageError(f"{option(name)} {out}: this file is no page of expclip's: choose another, or remove it")
