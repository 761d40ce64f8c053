"""What is said of what lies damaged in a cache, and is left out: once in a command."""

from collections.abc import Iterable

from ..errors import UsageError
from ..heads.kept import DamagedHead
from ..heads.saving import HeadCard
from .workspace import Workspace


def note_damaged(workspace: Workspace, damaged: Iterable[DamagedHead]) -> None:
    """Say which heads of the cache cannot be used."""
    for one in damaged:
        workspace.remark("left out", str(one))


def note_unusable(workspace: Workspace, card: HeadCard, error: UsageError) -> None:
    """Say why a head does not load."""
    workspace.remark(f"head {card.id} is left out", error.as_typed)


def note_unreadable_texts(workspace: Workspace) -> None:
    """Say which texts of the cache cannot be read."""
    for path, problem in workspace.cache.unreadable_texts.items():
        workspace.remark(
            str(path), f"these texts cannot be read ({problem}), and are encoded again where they are needed"
        )
