"""Cartoon faces drawn from FACS action units, and the built-in data sets made of them.

The action units of every face are known exactly, so the whole path from a folder of images to a recognition result
can be tried and tested without any licensed photograph.
Sources: FACS, Ekman, Friesen & Hager 2002; EMFACS, Friesen & Ekman 1983.
"""

from .drawing import draw_face
from .sampling import sample_face
from .sets import SETS, ensure_set
from .sheet import contact_sheet

RENDERER_VERSION: int = 2
"""Part of the name of a set's folder; raise it whenever a pixel of any set changes."""

__all__ = ["RENDERER_VERSION", "SETS", "contact_sheet", "draw_face", "ensure_set", "sample_face"]
