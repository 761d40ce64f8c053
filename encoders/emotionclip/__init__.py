"""EmotionCLIP: a ViT-B/32 with one more token for a mask of persons, and a small transformer over eight frames."""

from functools import partial

from ..clip_files.file_model import files_of, find, head_weights
from ..clip_files.file_nodes import text_node
from ..families import ClipHead, Code
from .emotionclip_file import FRAMES, LAYOUT
from .emotionclip_nodes import image_node

CODE = Code(
    partial(find, LAYOUT),
    partial(files_of, LAYOUT),
    {"clip_image": image_node, "clip_text": text_node},
    ClipHead(
        "linspace-8", range(FRAMES, FRAMES + 1), head_weights, "encoders.emotionclip.eight_frames:clip_embeddings"
    ),
)
