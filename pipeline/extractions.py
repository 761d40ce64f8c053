"""The `expclip extract` that makes what is needed, as commands to type."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..commands import options
from ..commands.extract import Extract
from ..encoders.node import NODES
from ..manifests.frames import DEFAULT_POLICIES
from .workspace import Workspace

if TYPE_CHECKING:
    from .needs import Need


def extract_command(workspace: Workspace, needs: "Iterable[Need]") -> str:
    """The `expclip extract` that makes all of some needs; one after another where no single one can."""
    return "` and `".join(request.command() for request in extract_requests(workspace, needs))


def extract_requests(workspace: Workspace, needs: "Iterable[Need]") -> Iterator[Extract]:
    """The requests that make all of some needs."""
    alike: dict[tuple[Any, ...], list[Need]] = defaultdict(list)
    for need in needs:
        alike[need.protocol, need.dtype, None if need.frames in DEFAULT_POLICIES else need.frames].append(need)
    for how, some in alike.items():
        yield from _requests(workspace.named_cache, how, some)


def _requests(cache: Path | None, how: tuple[Any, ...], needs: "Sequence[Need]") -> Iterator[Extract]:
    """One for each teacher; the first is for the clips too."""
    protocol, dtype, frames = how
    by_clip = [need for need in needs if NODES[need.node].role == "clip"]
    by_teacher: dict[str | None, list[Need]] = defaultdict(list)
    for need in needs:
        if NODES[need.node].role == "teacher":
            by_teacher[need.model].append(need)
    for teacher, some in by_teacher.items() or [(None, [])]:
        yield Extract(
            datasets=_distinct(need.dataset for need in (*by_clip, *some)),
            features=_distinct(need.node for need in (*by_clip, *some)),
            clip=_distinct(need.model for need in by_clip) or options.CLIP.default,
            teacher=teacher,
            instruction=_distinct(need.instruction for need in some if need.instruction),
            protocol=protocol,
            dtype=dtype,
            frames=frames,
            cache=cache,
        )
        by_clip = []


def _distinct(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))
