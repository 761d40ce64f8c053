"""How an image becomes the square that an encoder takes, as a value; `images` does it."""

from dataclasses import dataclass

BILINEAR, BICUBIC = "bilinear", "bicubic"
Fit = int | tuple[int, str, int]
"""A side length, for the released code's bilinear squash; else with the filter, and what the shorter side becomes
before the image is cropped, or 0 for a squash."""
MeanStd = tuple[list[float], list[float]]
"""Mean and standard deviation of each colour, in 0 … 1."""


@dataclass(frozen=True)
class Squash:
    """From an image to an encoder's input; without keeping the aspect ratio, as in Exp-CLIP's released code."""

    size: int
    honour_orientation: bool
    """Whether EXIF orientation is applied first; the released code ignores it."""
    mean_std: MeanStd | None = None
    """What the encoder normalises pixels with, if it does."""

    resample: str = BILINEAR
    crops: bool = False
    """Whether the shorter side gets the size and the middle is cut out, which keeps the aspect ratio."""
    shorter: int = 0
    """What the shorter side gets instead, if more is cut off."""

    @property
    def fit(self) -> Fit:
        """What its pixels depend on, besides the orientation."""
        if not self.crops and self.resample == BILINEAR:
            return self.size
        return self.size, self.resample, (self.shorter or self.size) if self.crops else 0

    def spec(self) -> dict:
        edge = f"shortest edge {self.shorter}" if self.shorter else "shortest edge"
        return {
            "size": self.size,
            "resize": f"{self.resample} {f'{edge}, centre crop' if self.crops else 'squash'} (Pillow)",
            "scale": "1/255",
            "exif_orientation": "honoured" if self.honour_orientation else "ignored",
            "sixteen_bit": "grey divided by 257, colour by its high byte",
            "alpha": "dropped",
            "mean_std": self.mean_std,
        }
