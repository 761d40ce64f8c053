"""What the configuration of a CLIP in a folder may say: the keys of open_clip's CLIP, CustomTextCLIP and CoCa.

A key that is not here is refused: open_clip would not build with it either. In `preprocess_cfg`, of which open_clip
itself takes only what it knows, other keys are ignored. `timm_model_name` and `hf_model_name` name architectures, not
places: no path and no `hf-hub:` is followed. Tokenizers that drop tokens by chance have no place here.
"""

import re
from typing import Any

from ...errors import UsageError
from ..configuration import (
    FLAG,
    HUB_NAME,
    LAYERS,
    MOST_TOKENS,
    NOTHING,
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
    word,
)
from ..names import FOLDER_CONFIG

_CONTEXT = whole(1, 4096)
_RATIO = number(0.01, 64)
_LAYER_SCALE = NOTHING | number(-1e4, 1e4)
_ACTIVATION = NOTHING | section({"approximate": word("none", "tanh")})
_NORM = NOTHING | section({"eps": number(0, 1), "elementwise_affine": FLAG, "bias": FLAG})
_TOKENIZER = {
    "clean": word("lower", "whitespace", "canonicalize"),
    "strip_sep_token": FLAG,
    "language": NOTHING | TEXT,
}


def _is_of_timm(value: Any) -> bool:
    if type(value) is not str or not re.fullmatch(r"[\w]+(\.[\w]+)?", value):
        return False
    import timm

    return timm.is_model(value)


_TIMM = Rule("an architecture that timm knows by this name", _is_of_timm)

_BLOCKS = {
    "act_kwargs": _ACTIVATION,
    "norm_kwargs": _NORM,
    "block_type": NOTHING | word("default", "custom"),
    **dict.fromkeys(
        ("qk_norm", "scaled_cosine_attn", "scale_heads", "scale_attn_inner", "scale_attn", "scale_fc"), FLAG
    ),
    "ls_init_value": _LAYER_SCALE,
    "mlp_ratio": _RATIO,
    "output_tokens": FLAG,
    "final_ln_after_pool": FLAG,
    "width": SIZE,
}
_VISION = _BLOCKS | {
    "layers": LAYERS | several(LAYERS, [4]),
    "head_width": SIZE,
    "patch_size": NOTHING | PIXELS | several(PIXELS, [2]),
    "image_size": PIXELS | several(PIXELS, [2]),
    "patch_dropout": number(0, 0.99),
    "attentional_pool": FLAG | word("parallel", "cascade"),
    "attn_pooler_queries": _CONTEXT,
    "attn_pooler_heads": SIZE,
    "no_ln_pre": FLAG,
    "pos_embed_type": word("learnable", "sin_cos_2d"),
    "pool_type": word("tok", "avg", "none"),
    "timm_model_name": NOTHING | _TIMM,
    "timm_model_pretrained": FLAG,
    "timm_pool": word("abs_attn", "rot_attn", "avg", "avgmax", "max", "catavgmax", "token", "map", ""),
    "timm_proj": NOTHING | word("linear", "mlp", "none", ""),
    "timm_proj_bias": FLAG,
    "timm_drop": number(0, 0.99),
    "timm_drop_path": NOTHING | number(0, 0.99),
}
_TEXT = _BLOCKS | {
    "context_length": _CONTEXT,
    "vocab_size": whole(1, MOST_TOKENS),
    "hf_tokenizer_name": NOTHING | TEXT,
    "tokenizer_mode": NOTHING | word("", "clips"),
    "tokenizer_kwargs": section(_TOKENIZER),
    "heads": SIZE,
    "layers": LAYERS,
    "embed_cls": FLAG,
    "pad_id": whole(0, MOST_TOKENS),
    "eos_id": whole(0, MOST_TOKENS),
    "no_causal_mask": FLAG,
    "pool_type": word("argmax", "first", "last", "eos", "none"),
    "proj_bias": FLAG,
    "proj_type": word("linear", "none"),
    "hf_model_name": NOTHING | HUB_NAME,
    "hf_model_pretrained": FLAG,
    "hf_proj_type": NOTHING | word("mlp", "linear"),
    "hf_pooler_type": NOTHING | word("mean_pooler", "max_pooler", "cls_pooler", "cls_last_hidden_state_pooler"),
}
_DECODER = _TEXT | {"dim_head": SIZE, "n_queries": _CONTEXT, "attn_pooler_heads": SIZE}
_MODEL = {
    "embed_dim": SIZE,
    "quick_gelu": FLAG,
    "custom_text": FLAG,
    "init_logit_scale": number(-1e4, 1e4),
    "init_logit_bias": NOTHING | number(-1e4, 1e4),
    "nonscalar_logit_scale": FLAG,
    "output_dict": FLAG,
    "pad_id": whole(0, MOST_TOKENS),
}
_PARTS = {"vision_cfg": _VISION, "text_cfg": _TEXT, "multimodal_cfg": _DECODER}

_CHANNEL = {"mean": number(-1e4, 1e4), "std": number(1e-6, 1e4)}
_PREPROCESS = {
    "size": NOTHING | PIXELS | several(PIXELS, [1, 2]),
    "mode": NOTHING | word("RGB"),
    **{name: NOTHING | one | several(one, [3]) for name, one in _CHANNEL.items()},
    "interpolation": NOTHING | word("bicubic", "bilinear", "random", "nearest"),
    "resize_mode": NOTHING | word("shortest", "longest", "squash"),
    "fill_color": NOTHING | whole(0, 255) | several(whole(0, 255), [3]),
}


def checked_model(config: dict[str, Any], where: str) -> dict[str, Any]:
    """open_clip's `model_cfg` of a folder, verbatim. Raises UsageError where it describes no CLIP within bounds."""
    for name in _PARTS.keys() & config.keys():
        checked(config[name], _PARTS[name], f"{where}: {name} of {FOLDER_CONFIG}")
    others = {key: value for key, value in config.items() if key not in _PARTS}
    checked(others, _MODEL, f"{where}: `model_cfg` of {FOLDER_CONFIG}")
    _require_patches(config["vision_cfg"], f"{where}: vision_cfg of {FOLDER_CONFIG}")
    return config


def _require_patches(vision: dict[str, Any], what: str) -> None:
    """As `require_patches`; the architectures of timm have sizes of their own."""
    if vision.get("timm_model_name"):
        return
    side = 32 if isinstance(vision.get("layers"), list) else vision.get("patch_size", 16)
    if side is None:
        raise UsageError(f"{what} cannot be used (patch_size is None; it must be {PIXELS.says})")
    for pixels, patch in zip(_pair(vision.get("image_size", 224)), _pair(side), strict=True):
        require_patches(pixels, patch, what)


def _pair(value: Any) -> tuple[Any, Any]:
    return (value[0], value[1]) if isinstance(value, list) else (value, value)


def checked_preprocessing(config: Any, where: str) -> dict[str, Any]:
    """`preprocess_cfg` of a folder; one number for mean or std stands for all channels, as in open_clip."""
    known = checked(config, _PREPROCESS, f"{where}: preprocess_cfg of {FOLDER_CONFIG}", ignore_others=True)
    for name in _CHANNEL:
        if isinstance(known.get(name), int | float):
            known[name] = [known[name]] * 3
    return known
