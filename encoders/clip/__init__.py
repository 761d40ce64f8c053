"""CLIP and its like, through open_clip."""

from ..families import Code
from .found import clip_files, find
from .towers import image_node, text_node

CODE = Code(find, clip_files, {"clip_image": image_node, "clip_text": text_node})
