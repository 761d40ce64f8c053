"""Whether weights were trained with QuickGELU, as OpenAI's were: the other gives wrong features, silently."""

from pathlib import Path
from typing import Any

from ...errors import UsageError, option
from ..hashes import Hashes
from ..names import ModelName
from ..weights_card import trained_with_quick_gelu
from .clip_fields import FOLDER_CONFIG

OPEN_CLIP = "open_clip_torch"
"""What open_clip is installed as."""


def remarks_on_activation(
    asked: ModelName, has_quick_gelu: bool, weights: Path | None, hashes: Hashes
) -> tuple[str, ...]:
    """What to say of the activation of weights in a file, which itself may say which it needs.

    Raises UsageError where it says that it needs the other.
    """
    if weights is None:
        return ()
    needs = trained_with_quick_gelu(weights)
    if needs == has_quick_gelu or (needs is None and has_quick_gelu):
        return ()
    other = _twin(asked, hashes)
    if needs is None:
        if not other:
            return ()
        return (
            f"nothing says whether these weights were trained with QuickGELU, as OpenAI's were. They are taken to be "
            f"without: if they were trained with it, write {other}@{asked.source}, else {asked.architecture}@"
            f"{asked.source} is right",
        )
    how = f"these weights were trained {'with' if needs else 'without'} QuickGELU, says {weights}"
    if not asked.architecture:
        right = f"`quick_gelu` in `model_cfg` of {FOLDER_CONFIG} must say so"
    else:
        right = f"write {other}@{asked.source}" if other else "open_clip has no such architecture"
    raise UsageError(f"{option('clip')} {asked.typed}: {how}; {right}")


def _twin(asked: ModelName, hashes: Hashes) -> str | None:
    """The same architecture with the other activation, if open_clip has it."""

    def found() -> dict[str, Any]:
        from .likeness import twin

        return {"twin": twin(asked.architecture)}

    return hashes.fact(OPEN_CLIP, {"twin of": asked.architecture}, found)["twin"] if asked.architecture else None
