"""FLAVA, through transformers: its image and its text tower, without the multimodal model above them."""

from ..families import Code
from .flava_model import find, flava_files
from .flava_nodes import image_node, text_node

CODE = Code(find, flava_files, {"clip_image": image_node, "clip_text": text_node})
