"""What a protocol decides: where Exp-CLIP's paper, its released code and a model's own habits differ.

docs/protocols.md says why.
"""

from dataclasses import dataclass
from typing import Literal

RELEASED, NATIVE = "released", "native"


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
    resizes_as_trained: bool = False
    """Whether images are resized and cropped as the model was trained; else they are squashed, bilinearly."""


PROTOCOLS = {
    RELEASED: Protocol(RELEASED, normalises=False, honours_orientation=False, ten_templates="P-5", pools="behind"),
    "paper": Protocol("paper", normalises=True, honours_orientation=True, ten_templates="P-5-paper", pools="before"),
    NATIVE: Protocol(
        NATIVE,
        normalises=True,
        honours_orientation=True,
        ten_templates="P-5",
        pools="behind",
        resizes_as_trained=True,
    ),
}
