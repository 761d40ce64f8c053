"""CLIP and its like, through open_clip."""

from ..families import Code
from .clip_nodes import image_node, text_node
from .found import clip_files, find

CODE = Code(find, clip_files, {"clip_image": image_node, "clip_text": text_node})
