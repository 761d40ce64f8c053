"""BLIP-2's nodes. Only what they load imports torch and transformers."""

from functools import partial
from typing import Any

from ..families import How
from ..node import Encoder, Node
from ..squash import BICUBIC, MeanStd
from .teacher import TOKENIZER, Teacher

_MEAN, _STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""CLIP's constants, with which BLIP-2 was trained according to its processor's configuration."""


def query_tokens_node(teacher: Teacher, how: How) -> Node:
    """`query_tokens`: the Q-Former's output e_Q (tokens, width), before the language projection."""
    dtype, squash = how.dtypes.tower, how.squash(teacher.vision["image_size"], _MEAN, _STD, BICUBIC)
    encoder = {
        "vision": teacher.vision,
        "qformer": teacher.qformer,
        "query_tokens": teacher.query_tokens,
        "weights": teacher.image_digests,
    }
    precision = {"vision": dtype, "residual": "float32", "qformer": "float32"}
    shape = (teacher.query_tokens, teacher.qformer["hidden_size"])
    load = partial(_image_side, teacher, dtype, squash.mean_std)
    return how.node("query_tokens", teacher.name, encoder, precision, shape, load, squash)


def llm_node(teacher: Teacher, how: How) -> Node:
    """`llm`: e_G (L',), the mean over tokens of the T5 encoder's output for [projected e_Q; instruction].

    Source: Exp-CLIP, section 3; pooling as in its released code: unweighted, end-of-sequence included.
    """
    assert how.instruction is not None
    parent = query_tokens_node(teacher, how)
    encoder = {
        "input": parent.digest,
        **_t5_spec(teacher),
        "instruction": how.instruction.text,
        "pooling": "mean over query and instruction tokens, end-of-sequence included",
    }
    precision = {"projection": "float32", "t5": how.dtypes.t5, "residual": "float32"}
    load = partial(_text_side, teacher, how.dtypes.t5, how.instruction.text)
    known = {"instruction": how.instruction.name, "parent": parent}
    return how.node("llm", teacher.name, encoder, precision, (teacher.text["d_model"],), load, **known)


def llm_text_node(teacher: Teacher, how: How) -> Node:
    """`llm_text`: a text's embedding (L',) in the space of e_G, the mean of the T5 encoder's output over its tokens.

    The text stands alone: no query tokens come before it. Source: Exp-CLIP, Table 5, which does not say how the text
    is pooled; here it is pooled as for e_G.
    """
    encoder = {**_t5_spec(teacher), "pooling": "mean over the text's tokens, end-of-sequence included"}
    precision = {"t5": how.dtypes.t5, "residual": "float32"}
    load = partial(_texts, teacher, how.dtypes.t5)
    return how.node("llm_text", teacher.name, encoder, precision, (teacher.text["d_model"],), load)


def _t5_spec(teacher: Teacher) -> dict[str, Any]:
    """Which T5 it is. The files are those of `llm`, so that one T5 per process serves both."""
    tokenizer = teacher.checkpoint.sha256(TOKENIZER, teacher.hashes)
    return {"t5": teacher.text, "weights": teacher.text_digests, "tokenizer": tokenizer}


def _image_side(teacher: Teacher, dtype: str, mean_std: MeanStd | None, device: str) -> Encoder:
    from .sides import ImageSide

    return ImageSide(teacher, dtype, mean_std, device)


def _text_side(teacher: Teacher, dtype: str, instruction: str, device: str) -> Encoder:
    from .sides import TextSide

    return TextSide(teacher, dtype, instruction, device)


def _texts(teacher: Teacher, dtype: str, device: str) -> Encoder:
    from .sides import Texts

    return Texts(teacher, dtype, device)
