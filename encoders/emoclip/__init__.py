"""EmoCLIP: a CLIP ViT-B/32 and a temporal transformer over the frames of a clip, with DFER-CLIP's blocks."""

from functools import partial

from ..clip_files.file_model import find, head_weights
from ..families import ClipHead, Code
from .emoclip_file import LAYOUT, POSITIONS
from .emoclip_nodes import files, image_node, text_node

CODE = Code(
    partial(find, LAYOUT),
    files,
    {"clip_image": image_node, "clip_text": text_node},
    ClipHead("every-4th-32", range(1, POSITIONS), head_weights, "heads.temporal:clip_embeddings"),
)
