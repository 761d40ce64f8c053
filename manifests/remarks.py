"""How remarks are worded: one for each kind of finding, with a count and the first example."""

from collections.abc import Sequence


def count_of(number: int, one: str, many: str = "") -> str:
    """`1 file`, `2 files`, `1,234 files`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def remark(found: Sequence[str], one: str, many: str) -> list[str]:
    """One remark about all that was found, none where nothing was: `2 files are empty (first: a.png)`."""
    return [f"{count_of(len(found), one, many)} (first: {found[0]})"] if found else []
