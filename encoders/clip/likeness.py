"""Which of open_clip's architectures some weights belong to, by the shapes of their tensors."""

import re
from collections.abc import Mapping
from typing import Any

import open_clip

Shapes = Mapping[str, tuple[int, ...]]
TWIN = "-quickgelu"
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
