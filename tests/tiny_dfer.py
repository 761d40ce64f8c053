"""A DFER-CLIP with random weights, in the format of the released files, and its whole model written out plainly."""

import copy
import pickletools
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from open_clip.tokenizer import SimpleTokenizer
from tiny_farl import tiny_clip

CLASSES = ("happiness", "sadness", "neutral")
TEXTS = ("a wide smile.", "the corners of the mouth point down.", "nothing moves.")
CONTEXT, PLACES, INNER = 2, 77, 512
_TOKENS = SimpleTokenizer(context_length=PLACES)


class RecorderMeter:
    """What the released script pickles beside the weights, of its own `__main__`."""

    def __init__(self) -> None:
        self.total_epoch = 50
        self.epoch_losses = np.zeros((50, 2), dtype=np.float32)
        self.epoch_accuracy = np.zeros((50, 2), dtype=np.float32)


def tokens_of(texts: tuple[str, ...]) -> torch.Tensor:
    """(classes, 77), room for the context left between start and description."""
    found = _TOKENS([" ".join([*["X"] * CONTEXT, text]) for text in texts])
    assert isinstance(found, torch.Tensor)
    return found


def dfer_state(clip: open_clip.CLIP, texts: tuple[str, ...] = TEXTS) -> dict[str, torch.Tensor]:
    """The state dict, without `module.`: the CLIP is in it twice, and shares its storages."""
    generator = torch.Generator().manual_seed(8)
    whole, width, inner = clip.state_dict(), clip.text_projection.shape[1], clip.positional_embedding.shape[1]

    def drawn(*size: int, spread: float = 1.0) -> torch.Tensor:
        return spread * torch.randn(size, generator=generator)

    embedded = clip.token_embedding(tokens_of(texts)).detach()
    state = {
        "prompt_learner.ctx": drawn(len(texts), CONTEXT, inner, spread=0.5),
        "prompt_learner.token_prefix": embedded[:, :1].clone(),
        "prompt_learner.token_suffix": embedded[:, 1 + CONTEXT :].clone(),
    }
    for name, value in whole.items():
        state[f"clip_model_.{name}"] = value
        if name.startswith("visual."):
            state[f"image_encoder.{name.removeprefix('visual.')}"] = value
        elif not name.startswith(("token_embedding", "logit_scale")):
            state[f"text_encoder.{name}"] = value
    layer = "temporal_net.temporal_transformer.layers.0"
    state |= {
        "temporal_net.cls_token": drawn(1, 1, width),
        "temporal_net.pos_embedding": drawn(1, 17, width),
        f"{layer}.0.fn.fn.to_qkv.weight": drawn(3 * INNER, width, spread=0.2),
        f"{layer}.0.fn.fn.to_out.0.weight": drawn(width, INNER, spread=0.2),
        f"{layer}.0.fn.fn.to_out.0.bias": drawn(width),
        f"{layer}.1.fn.fn.net.0.weight": drawn(2 * width, width, spread=0.3),
        f"{layer}.1.fn.fn.net.0.bias": drawn(2 * width),
        f"{layer}.1.fn.fn.net.3.weight": drawn(width, 2 * width, spread=0.3),
        f"{layer}.1.fn.fn.net.3.bias": drawn(width),
    }
    for block in (0, 1):
        state |= {f"{layer}.{block}.fn.norm.weight": 1 + drawn(width, spread=0.1)}
        state |= {f"{layer}.{block}.fn.norm.bias": drawn(width, spread=0.1)}
    return state


def write_dfer(file: Path, state: dict[str, torch.Tensor], **more: Any) -> None:
    """Write it as the released script does, whose last tensors lay on a GPU and whose recorder was of `__main__`."""
    RecorderMeter.__module__, RecorderMeter.__qualname__ = "__main__", "RecorderMeter"
    momentum = {0: {"momentum_buffer": torch.ones(3)}}
    content = {
        "epoch": 37,
        "state_dict": {f"module.{name}": value for name, value in state.items()},
        "best_acc": torch.tensor(71.25),
        "optimizer": {"state": momentum, "param_groups": [{"lr": 0.01, "params": [0]}]},
        "recorder": RecorderMeter(),
    } | more
    import __main__

    before = getattr(__main__, "RecorderMeter", None)
    __main__.RecorderMeter = RecorderMeter  # pyright: ignore[reportAttributeAccessIssue]
    try:
        torch.save(content, file)
    finally:
        if before is None:
            del __main__.RecorderMeter  # pyright: ignore[reportAttributeAccessIssue]
        else:
            __main__.RecorderMeter = before  # pyright: ignore[reportAttributeAccessIssue]
    _as_if_on_a_gpu(file)


def _as_if_on_a_gpu(file: Path) -> None:
    """Every storage's location, a text in the pickle, becomes that of a GPU."""
    with zipfile.ZipFile(file) as read:
        members = [(info, read.read(info)) for info in read.infolist()]
    cpu, gpu = b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as write:
        for info, content in members:
            if info.filename.endswith("/data.pkl"):
                assert content.count(cpu) == 1, "the word is memoised"
                content = content.replace(cpu, gpu)
            write.writestr(zipfile.ZipInfo(info.filename), content)  # of no time


def names_in(file: Path) -> set[str]:
    """The classes and functions that the pickle of a file names."""
    with zipfile.ZipFile(file) as members:
        (name,) = [one for one in members.namelist() if one.endswith("/data.pkl")]
        content = members.read(name)
    found: set[str] = set()
    for code, argument, _ in pickletools.genops(content):
        if code.name == "GLOBAL":
            found.add(argument.replace(" ", "."))
    return found


def text_directions(clip: open_clip.CLIP, state: dict[str, torch.Tensor], texts: tuple[str, ...]) -> np.ndarray:
    """(classes, L) float64 of length one: the prompts through the text transformer, uncut to 77."""
    clip = copy.deepcopy(clip).double()
    learner = [state[f"prompt_learner.{name}"].double() for name in ("token_prefix", "ctx", "token_suffix")]
    x = torch.cat(learner, dim=1) + clip.positional_embedding
    with torch.no_grad():
        x = clip.ln_final(clip.transformer(x, attn_mask=clip.attn_mask.double()))
        found = x[torch.arange(len(x)), tokens_of(texts).argmax(dim=1)] @ clip.text_projection
    return (found / found.norm(dim=1, keepdim=True)).numpy()


def clip_vector(state: dict[str, torch.Tensor], frames: np.ndarray) -> np.ndarray:
    """(L,) of one clip (T, L) in float64, from the released names: attention head by head, GELU by its tanh."""
    w = {
        name.removeprefix("temporal_net.").removeprefix("temporal_transformer.layers.0."): value.double().numpy()
        for name, value in state.items()
        if name.startswith("temporal_net.")
    }

    def norm(block: str, x: np.ndarray) -> np.ndarray:
        centred = x - x.mean(axis=1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)
        return scaled * w[f"{block}.fn.norm.weight"] + w[f"{block}.fn.norm.bias"]

    x = np.concatenate([w["cls_token"][0], frames.astype(np.float64)]) + w["pos_embedding"][0, : len(frames) + 1]
    q, k, v = np.split(norm("0", x) @ w["0.fn.fn.to_qkv.weight"].T, 3, axis=1)
    heads = []
    for start in range(0, INNER, 64):
        some = slice(start, start + 64)
        near = np.exp(q[:, some] @ k[:, some].T / 8)
        heads.append(near / near.sum(axis=1, keepdims=True) @ v[:, some])
    x = x + np.concatenate(heads, axis=1) @ w["0.fn.fn.to_out.0.weight"].T + w["0.fn.fn.to_out.0.bias"]
    z = norm("1", x) @ w["1.fn.fn.net.0.weight"].T + w["1.fn.fn.net.0.bias"]
    z = 0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))
    return (x + z @ w["1.fn.fn.net.3.weight"].T + w["1.fn.fn.net.3.bias"])[0]


def tiny_dfer() -> tuple[open_clip.CLIP, dict[str, torch.Tensor]]:
    """A CLIP and the state dict around it."""
    clip = tiny_clip()
    return clip, dfer_state(clip)
