"""What a protocol decides: where Exp-CLIP's paper and its released code differ. docs/protocols.md says why."""

from dataclasses import dataclass
from typing import Literal

RELEASED = "released"


@dataclass(frozen=True)
class Protocol:
    """What happens to pixels, to clips and to prompts."""

    name: str
    normalises: bool
    """Whether pixels are normalised with the mean and standard deviation that the model was trained with."""
    honours_orientation: bool
    """Whether EXIF orientation is applied first."""
    ten_templates: str
    """The prompt set behind P-5."""
    pools: Literal["before", "behind"]
    """Where the frames of a clip become one: before the head, or after it."""


PROTOCOLS = {
    RELEASED: Protocol(RELEASED, normalises=False, honours_orientation=False, ten_templates="P-5", pools="behind"),
    "paper": Protocol("paper", normalises=True, honours_orientation=True, ten_templates="P-5-paper", pools="before"),
}
"""All of them squash images to the model's square input, bilinearly."""
