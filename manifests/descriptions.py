"""Descriptions of samples, one or more sentences each, from the user's file."""

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError
from ..untrusted import read_text

_MOST_BYTES = 256 << 20


@dataclass(frozen=True)
class Description:
    """What somebody wrote about a sample."""

    sample_id: str
    text: str
    where: str
    """File and line."""


def read_descriptions(path: Path) -> list[Description]:
    """Descriptions from a CSV file in UTF-8 with the columns `sample_id` and `text`; other columns are ignored.

    A sample may have several. Raises UsageError with file and line for what cannot be read.
    """
    found = []
    try:
        with io.StringIO(read_text(path, _MOST_BYTES), newline="") as file:
            lines = csv.DictReader(file)
            if not {"sample_id", "text"} <= set(lines.fieldnames or ()):
                raise UsageError(f"{path}: the first line must name the columns `sample_id,text`")
            for line in lines:
                where, text = f"{path}:{lines.line_num}", (line["text"] or "").strip()
                if not text or re.search("[\0\ud800-\udfff]", text):
                    raise UsageError(f"{where}: the description of {line['sample_id']!r} is empty: write one")
                found.append(Description(line["sample_id"], text, where))
    except OSError as error:
        raise UsageError(f"{path}: the descriptions cannot be read ({error.strerror}): correct the path") from error
    except (ValueError, csv.Error) as error:
        raise UsageError(f"{path}: not a CSV file in UTF-8 ({error}): correct it") from error
    if not found:
        raise UsageError(f"{path}: there are no descriptions in it: write lines `sample_id,text`")
    return found
