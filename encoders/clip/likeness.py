"""Which of open_clip's architectures some weights belong to, by the shapes of their tensors."""

import math
import re
from collections.abc import Mapping
from typing import Any

import open_clip
import torch

from ...errors import brief, reason

Shapes = Mapping[str, tuple[int, ...]]
TWIN = "-quickgelu"
_TELLING = (
    *("positional_embedding", "text_projection", "token_embedding.weight", "logit_scale"),
    *("visual.conv1.weight", "visual.positional_embedding", "visual.proj"),
)
"""Tensors that every CLIP with a vision transformer has, and that tell its sizes."""
_RESNETS_PATCH = 32
"""Pixels for which a residual network has one place at its end."""


def twin(architecture: str) -> str | None:
    """The same architecture with the other activation; None where open_clip has none."""
    name = architecture.removesuffix(TWIN) if architecture.endswith(TWIN) else f"{architecture}{TWIN}"
    return name if name in open_clip.list_models() else None


def like(shapes: Shapes) -> list[str]:
    """The architectures that have such tensors, with either activation; none where open_clip has no such model."""
    seen = _measured(shapes)
    every = open_clip.list_models() if seen else []
    return [name for name in every if _described(_config(name)) == seen]


def names_of(shapes: Shapes, quick_gelu: bool | None) -> list[str]:
    """The architectures that weights may be loaded into: those like them, of one activation where it is known."""
    return [name for name in like(shapes) if quick_gelu in (None, bool(_config(name).get("quick_gelu")))]


def misfit(shapes: Shapes) -> str:
    """Why tensors are not those of one of open_clip's own CLIPs, all of them and nothing else; empty if they are."""
    lacking = [name for name in _TELLING if name not in shapes]
    seen = _measured(shapes)
    if lacking or not seen:
        return f"it lacks {', '.join(lacking)}" if lacking else "its tensors have shapes that no CLIP has"
    try:
        expected = _expected(seen)
    except (RuntimeError, ValueError, ZeroDivisionError, AssertionError) as error:
        return f"no CLIP has such sizes: {reason(error)}"
    missing, foreign = sorted(expected.keys() - shapes.keys()), sorted(shapes.keys() - expected.keys())
    wrong = sorted(name for name in expected.keys() & shapes.keys() if expected[name] != shapes[name])
    for what, names in (("it lacks", missing), ("it has too", foreign), ("another shape has", wrong)):
        if names:
            return f"{what} {brief(names[0])}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
    return ""


def _expected(seen: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The tensors of open_clip's CLIP with such sizes, which is built without storage."""
    width, layers, patch, places = seen["vision"]
    text_width, text_layers, context, vocabulary = seen["text"]
    vision = {"width": width, "layers": layers, "patch_size": patch, "image_size": patch * math.isqrt(places)}
    text = {"width": text_width, "layers": text_layers, "context_length": context, "vocab_size": vocabulary}
    with torch.device("meta"):
        model = open_clip.CLIP(seen["embed_dim"], vision | {"head_width": 64}, text | {"heads": text_width // 64})  # pyright: ignore[reportArgumentType]
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def _config(architecture: str) -> dict[str, Any]:
    config = open_clip.get_model_config(architecture)
    assert config is not None
    return config


def _measured(shapes: Shapes) -> dict[str, Any]:
    """What the tensors of one of open_clip's own towers say of it; nothing for others."""
    try:
        context, text_width = shapes["positional_embedding"]
        return {
            "embed_dim": shapes["text_projection"][1],
            "vision": _vision(shapes),
            "text": (
                text_width,
                _layers(shapes, "transformer.resblocks"),
                context,
                shapes["token_embedding.weight"][0],
            ),
        }
    except (KeyError, ValueError, IndexError):
        return {}


def _vision(shapes: Shapes) -> tuple[Any, ...]:
    """Width, layers, pixels of a patch, and patches."""
    if "visual.layer1.0.conv1.weight" in shapes:
        layers = [_layers(shapes, f"visual.layer{k}") for k in (1, 2, 3, 4)]
        places = shapes["visual.attnpool.positional_embedding"][0]
        return shapes["visual.layer1.0.conv1.weight"][0], layers, _RESNETS_PATCH, places - 1
    width, _, patch, _ = shapes["visual.conv1.weight"]
    places = shapes["visual.positional_embedding"][0]
    return width, _layers(shapes, "visual.transformer.resblocks"), patch, places - 1


def _layers(shapes: Shapes, part: str) -> int:
    numbers = [re.match(rf"{re.escape(part)}\.(\d+)\.", name) for name in shapes]
    return len({found[1] for found in numbers if found})


def _described(config: dict[str, Any]) -> dict[str, Any] | None:
    """The same of a configuration of open_clip; None where a tower is not its own."""
    vision, text = config["vision_cfg"], config["text_cfg"]
    if vision.get("timm_model_name") or text.get("hf_model_name"):
        return None
    layers, size = vision.get("layers", 12), vision.get("image_size", 224)
    patch = _RESNETS_PATCH if isinstance(layers, list) else vision.get("patch_size", 16)
    context, vocabulary = text.get("context_length", 77), text.get("vocab_size", 49408)
    return {
        "embed_dim": config["embed_dim"],
        "vision": (vision.get("width", 768), layers, patch, (size // patch) ** 2),
        "text": (text.get("width", 512), text.get("layers", 12), context, vocabulary),
    }
