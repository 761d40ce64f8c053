"""The miniature's CLIP: a vision tower that learned the words of captions, and a text tower that matches it."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import open_clip
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from ..manifests.faces.action_units import CLASSES
from ..manifests.faces.sampling import Face
from ..manifests.prompts import PROMPT_SETS, prompt_set
from .captions import caption
from .drawn_faces import Drawn, flipped, planes, seen_by
from .loop import both_ways, train
from .plain_data import MODELS
from .tokenizer import EOS, PAD, ids_of, make_tokenizer

CAPTIONS = 4
"""Captions per face."""
_CONFIG = MODELS["clip"]
_EMBEDDING, _CONTEXT = _CONFIG["embed_dim"], _CONFIG["text_cfg"]["context_length"]
_COMMON = 0.5
"""Length of what the embeddings of all images share, over their spread around it; for texts the same."""


def clip_config(vocabulary: int) -> dict:
    """open_clip's configuration of the model: its own ModifiedResNet and its own text transformer."""
    return _CONFIG | {"text_cfg": _CONFIG["text_cfg"] | {"vocab_size": vocabulary, "eos_id": EOS, "pad_id": PAD}}


def caption_all(faces: Sequence[Face], rng: np.random.Generator) -> list[list[str]]:
    """CAPTIONS captions per face."""
    names = [None if face.label is None else CLASSES[face.label] for face in faces]
    return [[caption(face, name, rng) for _ in range(CAPTIONS)] for face, name in zip(faces, names, strict=True)]


def train_clip(
    drawn: Drawn, captions: Sequence[Sequence[str]], steps: Mapping[str, int]
) -> tuple[open_clip.CLIP, Tokenizer, dict[str, list[float]]]:
    """Train on faces with CAPTIONS captions each: first the vision tower, then the text tower. Returns losses too."""
    texts = [text for several in captions for text in several]
    prompts = [text for name in PROMPT_SETS for text in prompt_set(name).texts]
    tokenizer = make_tokenizer([*texts[:20_000], *prompts], 1000)
    ids = ids_of(tokenizer, texts, _CONTEXT).view(len(captions), CAPTIONS, _CONTEXT)
    model = open_clip.CLIP(**clip_config(tokenizer.get_vocab_size()))
    losses = {"words": _learn_words(model.visual, drawn.images, ids, tokenizer.get_vocab_size(), steps["words"])}
    losses["matching"] = _learn_to_match(model, drawn.images, ids, steps["matching"])
    return model.eval(), tokenizer, losses


def _learn_words(tower: nn.Module, images: Tensor, ids: Tensor, vocabulary: int, steps: int) -> list[float]:
    """Predict which words the caption of an image holds, rare ones weighing more (SuperClass, Huang et al. 2024)."""
    held = torch.zeros(*ids.shape[:2], vocabulary, dtype=torch.bool).scatter_(2, ids, True)
    held[..., : EOS + 2] = False  # the special tokens
    weights = torch.log(held.flatten(0, 1).shape[0] / (1 + held.flatten(0, 1).sum(0)))
    head = nn.Linear(_EMBEDDING, vocabulary)
    tower.train()

    def loss(rows: Tensor) -> Tensor:
        wanted = held[rows, torch.randint(CAPTIONS, (len(rows),))] * weights
        seen = tower(flipped(planes(images[rows])).contiguous(memory_format=torch.channels_last))
        said = functional.log_softmax(head(seen), dim=-1)
        return -(said * wanted / wanted.sum(1, keepdim=True)).sum(1).mean()

    tower.to(memory_format=torch.channels_last)
    losses = train("clip, words", [*tower.parameters(), *head.parameters()], loss, len(images), 128, steps, 2e-3, 0.1)
    tower.to(memory_format=torch.contiguous_format)
    return losses


def _learn_to_match(model: open_clip.CLIP, images: Tensor, ids: Tensor, steps: int) -> list[float]:
    """CLIP's objective with a locked vision tower (LiT, Zhai et al. 2022), and one direction for what is common.

    All images share a part along a direction in which they do not vary, and so do all texts, which say nothing by it.
    Left to itself the loss puts what texts have in common anywhere (the modality gap of Liang et al., NeurIPS 2022),
    and a head, which sees images only while it is fitted, would turn that into a preference for some class.
    """
    model.visual.eval().requires_grad_(False)
    shared = _move_images(model.visual, images)
    both_sides = torch.stack([seen_by(model.visual, side) for side in (images, images.flip(2))])
    seen = functional.normalize(both_sides, dim=-1)
    with torch.no_grad():
        model.logit_scale.fill_(math.log(14))

    def loss(rows: Tensor) -> Tensor:
        side = torch.randint(2, (len(rows),))
        tokens = ids[rows, torch.randint(CAPTIONS, (len(rows),))]
        tokens = tokens[:, : int((tokens != PAD).sum(1).max())]
        said = model.encode_text(functional.pad(tokens, (0, _CONTEXT - tokens.shape[1]), value=PAD))
        own = said - torch.outer(said @ shared, shared)
        text = functional.normalize(own + _COMMON * own.detach().norm(dim=1).mean() * shared, dim=-1)
        return both_ways(model.logit_scale.exp().clamp(max=100) * seen[side, rows] @ text.T)

    text_side = [parameter for name, parameter in model.named_parameters() if not name.startswith("visual.")]
    model.train()
    model.visual.eval()
    losses = train("clip, matching", text_side, loss, len(images), 256, steps, 1e-3, 0.1)
    _move_texts(model, shared, ids[:2000, 0])
    return losses


@torch.no_grad()
def _move_images(tower: nn.Module, images: Tensor) -> Tensor:
    """Move the mean of all images along the direction (L,) of least variance, _COMMON of their spread; returns it."""
    seen = seen_by(tower, images[:6000])
    variances, directions = torch.linalg.eigh(torch.cov(seen.T))
    shared = directions[:, 0]
    tower.attnpool.c_proj.bias.add_(_COMMON * variances.sum().sqrt() * shared - seen.mean(dim=0))
    return shared


@torch.no_grad()
def _move_texts(model: open_clip.CLIP, shared: Tensor, ids: Tensor) -> None:
    """Write into the tower of texts what training did behind it: along `shared` they are all alike.

    open_clip's projection P has no bias (with one it cannot be loaded in half precision), so the last layer norm,
    h = γ z + β, lends it one. The numbers in z add up to zero; with β + γ in place of β those in h / γ add up to
    K = Σ (β + γ) / γ, and P + (1 / γ) rᵀ adds the constant K r.
    """
    projection, norm = model.text_projection, model.ln_final
    projection.sub_(torch.outer(projection @ shared, shared))
    said = torch.cat([model.encode_text(part) for part in ids.split(500)])
    wanted = _COMMON * said.norm(dim=1).mean() * shared
    norm.bias.add_(norm.weight)
    total = (norm.bias / norm.weight).sum()
    projection.add_(torch.outer(1 / norm.weight, (wanted - norm.weight @ projection) / total))
