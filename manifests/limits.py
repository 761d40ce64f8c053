"""How much a file of pictures may ask for before it is read."""

MAX_MEGAPIXELS = 64
"""Width × height of a picture, where nothing else is said: more than faces need."""


def max_pixels(megapixels: int) -> int:
    """A limit in pixels."""
    return megapixels * 1_000_000


MAX_PIXELS = max_pixels(MAX_MEGAPIXELS)
