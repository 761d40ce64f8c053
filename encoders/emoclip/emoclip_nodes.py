"""EmoCLIP's nodes: its own image tower, and its own text tower or plain CLIP's, beside which it was trained."""

from dataclasses import replace

from ...errors import ExpclipError
from ..clip import clip_nodes
from ..clip.found import clip_files
from ..clip.found import find as find_clip
from ..clip_files import file_nodes
from ..clip_files.file_model import FileModel, files_of, has_text
from ..families import How
from ..hashes import Hashes
from ..node import Node
from ..squash import BICUBIC
from ..weights import ModelFiles
from .emoclip_file import LAYOUT

PLAIN = "ViT-B-32"
"""Whose texts are taken where its file has no text tower."""
_MEAN, _STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
"""CLIP's."""


def files(text: str, fetch: bool = False) -> ModelFiles:
    """Its file, and plain CLIP's where that has no text tower."""
    own = files_of(LAYOUT, text)
    path = own.path(own.names[0]) if own.names else None
    if path is None or path.suffix != ".safetensors" or has_text(path):
        return own
    return replace(own, others=(clip_files(PLAIN, fetch),))


def image_node(model: FileModel, how: How) -> Node:
    """`clip_image`: image embeddings e_I (L,), not normalised."""
    squash = how.squash(model.config["vision_cfg"]["image_size"], _MEAN, _STD, BICUBIC, crops=True)
    return file_nodes.image_node(model, how, squash)


def text_node(model: FileModel, how: How) -> Node:
    """`clip_text`: text embeddings e_T (L,), not normalised."""
    if model.has_text:
        return file_nodes.text_node(model, how)
    plain = clip_nodes.text_node(find_clip(PLAIN, Hashes()), how)
    width = model.config["embed_dim"]
    if plain.row_shape != (width,):
        raise ExpclipError(
            f"{model.where}: its images have {width} numbers, and plain CLIP's texts {plain.row_shape[0]}"
        )
    read_by = {part: plain.spec[part] for part in ("architecture", "weights", "tokenizer")}
    encoder = {"architecture": model.architecture, "weights": model.origin, "texts_by": read_by}
    known = {"untrained": model.untrained, "reads": plain.reads}
    return how.node("clip_text", model.name, encoder, plain.spec["precision"], plain.row_shape, plain.load, **known)
