"""A fit that takes long keeps what it has reached, so that the next run goes on there: after each epoch, in one file.

It holds tensors and nothing else, so that nothing is unpickled; it is gone when the head is whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ..aside import remove
from ..cache.files import new_file
from ..cache.rubbish import UNFINISHED as SUFFIX
from ..untrusted import read_bytes
from .card import weights_digest

EPOCHS = "epochs"
"""What the tensor (1,) is called that says how many are done."""
_DIGEST = "digest"
_MOST_BYTES = 4 << 30

State = dict[str, np.ndarray]


@dataclass(frozen=True)
class Unfinished:
    """The file of one fit."""

    file: Path

    @classmethod
    def of(cls, heads: Path, head_id: str, fold: int) -> "Unfinished":
        """Of a head of a cache, for one of its folds."""
        return cls(heads / f".{head_id}-{fold}{SUFFIX}")

    def read(self) -> State | None:
        """What was reached; None where nothing was, or where it is damaged, so that the fit begins anew."""
        try:
            state = load(read_bytes(self.file, _MOST_BYTES))
        except (OSError, ValueError, SafetensorError, LookupError, TypeError):
            return None
        said = state.pop(_DIGEST, None)
        is_whole = said is not None and said.tobytes().decode("ascii", "replace") == weights_digest(state)
        return state if is_whole and _counts_epochs(state.get(EPOCHS)) else None

    def write(self, state: Mapping[str, np.ndarray]) -> None:
        """Replace what was reached before."""
        whole = {name: np.ascontiguousarray(value) for name, value in state.items()}
        content = save(whole | {_DIGEST: np.frombuffer(weights_digest(whole).encode(), dtype=np.uint8)})
        with new_file(self.file) as temporary:
            temporary.write_bytes(content)


def _counts_epochs(said: np.ndarray | None) -> bool:
    return said is not None and said.shape == (1,) and said.dtype.kind == "i" and said[0] > 0


def forget(heads: Path, head_id: str) -> None:
    """Remove what was kept on the way to a head that is whole."""
    remove(heads.glob(f".{head_id}-*{SUFFIX}"))
