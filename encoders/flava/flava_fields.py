"""What the files of a FLAVA may say of its towers and of its pixels; whatever else they say is never passed on."""

from collections.abc import Mapping
from typing import Any

from ...errors import UsageError, brief
from ..configuration import (
    EPSILON,
    FLAG,
    LAYERS,
    MOST_TOKENS,
    PIXELS,
    SIZE,
    TEXT,
    Rule,
    checked,
    number,
    require_patches,
    section,
    several,
    whole,
)
from ..squash import BICUBIC, BILINEAR

CONFIG = "config.json"
PREPROCESSOR = "preprocessor_config.json"

Fields = Mapping[str, tuple[Rule, Any]]
"""By key: what its value must be, and what it is where nothing is said."""

_TOWER: Fields = {
    "hidden_size": (SIZE, 768),
    "num_hidden_layers": (LAYERS, 12),
    "num_attention_heads": (SIZE, 12),
    "intermediate_size": (SIZE, 3072),
    "hidden_act": (TEXT, "gelu"),
    "layer_norm_eps": (EPSILON, 1e-12),
    "qkv_bias": (FLAG, True),
}
_IMAGE: Fields = {**_TOWER, "image_size": (PIXELS, 224), "patch_size": (PIXELS, 16), "num_channels": (whole(3, 3), 3)}
_TEXT: Fields = {
    **_TOWER,
    "vocab_size": (whole(1, MOST_TOKENS), 30522),
    "type_vocab_size": (whole(1, 64), 2),
    "max_position_embeddings": (whole(3, 1 << 16), 512),
}
_MODEL: Fields = {"projection_dim": (SIZE, 768)}

_TRUE = Rule("true", lambda value: value is True)
_FILTERS = {2: BILINEAR, 3: BICUBIC}
"""By Pillow's numbers."""
_SIDES = PIXELS | section({"height": PIXELS, "width": PIXELS})
_PIXELS: Fields = {
    "do_resize": (_TRUE, True),
    "size": (_SIDES, None),
    "resample": (Rule("2 (bilinear) or 3 (bicubic)", lambda value: type(value) is int and value in _FILTERS), 3),
    "do_center_crop": (FLAG, True),
    "crop_size": (_SIDES, None),
    "do_rescale": (_TRUE, True),
    "rescale_factor": (number(0.0039215, 0.0039216), 1 / 255),
    "do_normalize": (_TRUE, True),
    "image_mean": (several(number(-1e4, 1e4), [3]), [0.48145466, 0.4578275, 0.40821073]),
    "image_std": (several(number(1e-6, 1e4), [3]), [0.26862954, 0.26130258, 0.27577711]),
}
"""Without a file FLAVA's own, whose mean and standard deviation are CLIP's."""


def read_model(config: Mapping[str, Any], where: str) -> tuple[dict[str, Any], dict[str, Any], int]:
    """The image tower, the text tower and the width that both are projected to.

    Raises UsageError where they are no FLAVA's, or out of bounds.
    """
    if config.get("model_type") != "flava":
        raise UsageError(
            f"{where}: {CONFIG} describes {brief(config.get('model_type'))}; a 'flava' is needed, such as "
            f"facebook/flava-full"
        )
    image, text = (
        _known(_section(config, name), table, f"{where}: {name} of {CONFIG}")
        for name, table in (("image_config", _IMAGE), ("text_config", _TEXT))
    )
    require_patches(image["image_size"], image["patch_size"], f"{where}: image_config of {CONFIG}")
    return image, text, _known(dict(config), _MODEL, f"{where}: {CONFIG}")["projection_dim"]


def _section(config: Mapping[str, Any], name: str) -> Any:
    """A part of the configuration; what older files call `…_dict` goes before it, as in the library."""
    older = config.get(f"{name}_dict")
    found = config.get(name) if older is None else older
    return {} if found is None else found


def read_pixels(config: dict[str, Any], image_size: int, where: str) -> tuple[list[float], list[float], str]:
    """Mean, standard deviation and filter. Raises UsageError for what is no squash to the tower's own size."""
    what = f"{where}: {PREPROCESSOR}"
    known = _known({key: value for key, value in config.items() if value is not None}, _PIXELS, what)
    for name in ("size", "crop_size") if known["do_center_crop"] else ("size",):
        said = known[name]
        sides = {said} if type(said) is int else set((said or {}).values())
        if not sides <= {image_size} or (isinstance(said, dict) and len(said) != 2):
            raise UsageError(
                f"{what} cannot be used ({name} is {brief(said)}; it must be {image_size} pixels, as the tower takes)"
            )
    return known["image_mean"], known["image_std"], _FILTERS[known["resample"]]


def _known(config: Any, fields: Fields, what: str) -> dict[str, Any]:
    found = checked(config, {key: rule for key, (rule, _) in fields.items()}, what, ignore_others=True)
    return {key: default for key, (_, default) in fields.items()} | found
