"""Which tensors a file of a family has: a CLIP's with a ViT, and a clip head's; their sizes they say themselves."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import brief
from ..configuration import LAYERS, PIXELS, SIZE, Rule, whole

Shapes = Mapping[str, tuple[int, ...]]
Called = Callable[[str], str]
"""What a message calls a tensor."""

HEAD = "clip_head."
"""Before the names of a clip head's tensors."""
_HEAD_WIDTH = 64
"""Of the attention in a CLIP, always."""
_VOCABULARY = 49408
"""Of CLIP's tokenizer."""
REAL: dict[str, Any] = {
    "embed_dim": 512,
    "vision_cfg": {"image_size": 224, "layers": 12, "width": 768, "patch_size": 32},
    "text_cfg": {"context_length": 77, "vocab_size": _VOCABULARY, "width": 512, "heads": 8, "layers": 12},
}
"""ViT-B/32, in open_clip's words."""

_WIDTH = Rule(f"a multiple of {_HEAD_WIDTH}", lambda value: value >= _HEAD_WIDTH and value % _HEAD_WIDTH == 0)
_BOUNDS = {
    "vision_cfg": {"image_size": PIXELS, "layers": LAYERS, "width": _WIDTH, "patch_size": SIZE},
    "text_cfg": {"context_length": whole(1, 4096), "layers": LAYERS, "width": _WIDTH},
}
"""Of what is built; few tensors may describe much."""


@dataclass(frozen=True)
class Layout:
    """What is in the files of a family."""

    word: str
    quick_gelu: bool
    head: Callable[[Shapes, int], dict[str, tuple[int, ...]]]
    """(the tensors of a clip head, L) → those that it must have. Raises ValueError where they say no sizes."""
    needs_text: bool = True
    """Whether a file without the text tower is none of its."""


def described(shapes: Shapes, layout: Layout, called: Called = str) -> dict[str, Any]:
    """The configuration of the CLIP that tensors belong to, in open_clip's words.

    Raises ValueError where they are not exactly those of a file of the family.
    """
    has_text = layout.needs_text or any(_is_text(name) for name in shapes)
    config = _measured(shapes, layout.quick_gelu, has_text, called)
    head = {name.removeprefix(HEAD): shape for name, shape in shapes.items() if name.startswith(HEAD)}
    expected = clip_shapes(config, has_text) | head_shapes(layout, head, config["embed_dim"])
    _refuse_others(shapes, expected, called)
    return config


def head_shapes(layout: Layout, head: Shapes, width: int) -> dict[str, tuple[int, ...]]:
    """The tensors that a clip head for embeddings of a width must have, by their names in a file."""
    return {f"{HEAD}{name}": shape for name, shape in layout.head(head, width).items()}


def _is_text(name: str) -> bool:
    return not name.startswith(("visual.", HEAD)) and name != "logit_scale"


def _measured(shapes: Shapes, quick_gelu: bool, has_text: bool, called: Called) -> dict[str, Any]:
    def shape(name: str, dimensions: int) -> tuple[int, ...]:
        if name not in shapes:
            raise ValueError(f"it lacks {brief(called(name))}")
        if len(shapes[name]) != dimensions or not all(shapes[name]):
            raise ValueError(f"another shape has {brief(called(name))}")
        return tuple(shapes[name])

    width, _, patch, _ = shape("visual.conv1.weight", 4)
    places, _ = shape("visual.positional_embedding", 2)
    _, embed_dim = shape("visual.proj", 2)
    layers, side = count(shapes, "visual.transformer.resblocks."), max(1, math.isqrt(places - 1))
    image = {"image_size": patch * side, "layers": layers, "width": width, "patch_size": patch}
    text = REAL["text_cfg"]
    if has_text:
        context, text_width = shape("positional_embedding", 2)
        vocabulary, _ = shape("token_embedding.weight", 2)
        if vocabulary != _VOCABULARY:
            raise ValueError(f"it has {vocabulary:,} words, and CLIP's tokenizer {_VOCABULARY:,}")
        text_layers = count(shapes, "transformer.resblocks.")
        sizes = {"width": text_width, "heads": text_width // _HEAD_WIDTH, "layers": text_layers}
        text = {"context_length": context, "vocab_size": vocabulary, **sizes}
    for part, known in (("vision_cfg", image), ("text_cfg", text)):
        for name, rule in _BOUNDS[part].items():
            if not rule.holds(known[name]):
                raise ValueError(f"by its tensors it has {name} {known[name]:,}; it must be {rule.says}")
    return {"embed_dim": embed_dim, "quick_gelu": quick_gelu, "vision_cfg": image, "text_cfg": text}


def count(names: Iterable[str], before: str) -> int:
    """How many different numbers follow what some names begin with."""
    found = (re.match(rf"{re.escape(before)}(\d+)\.", name) for name in names)
    return len({one[1] for one in found if one})


def _refuse_others(shapes: Shapes, expected: Shapes, called: Called) -> None:
    """Raise ValueError where tensors are not exactly those that are expected."""
    missing, foreign = sorted(expected.keys() - shapes.keys()), sorted(shapes.keys() - expected.keys())
    wrong = sorted(name for name in expected.keys() & shapes.keys() if expected[name] != tuple(shapes[name]))
    for what, names in (("it lacks", missing), ("it has too", foreign), ("another shape has", wrong)):
        if names:
            raise ValueError(
                f"{what} {brief(called(names[0]))}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
            )


def clip_shapes(config: Mapping[str, Any], has_text: bool = True) -> dict[str, tuple[int, ...]]:
    """The tensors of a CLIP by OpenAI's names, or of its image tower alone."""
    vision, text, dim = config["vision_cfg"], config["text_cfg"], config["embed_dim"]
    wide, patch = vision["width"], vision["patch_size"]
    image = {
        "class_embedding": (wide,),
        "positional_embedding": ((vision["image_size"] // patch) ** 2 + 1, wide),
        "conv1.weight": (wide, 3, patch, patch),
        "proj": (wide, dim),
        **norm("ln_pre", wide),
        **norm("ln_post", wide),
        **_blocks(wide, vision["layers"]),
    }
    found = {f"visual.{name}": shape for name, shape in image.items()}
    if not has_text:
        return found
    narrow = text["width"]
    return {
        **found,
        "positional_embedding": (text["context_length"], narrow),
        "token_embedding.weight": (text["vocab_size"], narrow),
        "text_projection": (narrow, dim),
        "logit_scale": (),
        **norm("ln_final", narrow),
        **_blocks(narrow, text["layers"]),
    }


def _blocks(width: int, layers: int) -> dict[str, tuple[int, ...]]:
    one = {
        **norm("ln_1", width),
        "attn.in_proj_weight": (3 * width, width),
        "attn.in_proj_bias": (3 * width,),
        **linear("attn.out_proj", width, width),
        **norm("ln_2", width),
        **linear("mlp.c_fc", width, 4 * width),
        **linear("mlp.c_proj", 4 * width, width),
    }
    return {f"transformer.resblocks.{k}.{name}": shape for k in range(layers) for name, shape in one.items()}


def norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    """A LayerNorm's."""
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def linear(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    """A linear layer's, with a bias."""
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}
