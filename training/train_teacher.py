"""The miniature's teacher: a stock BLIP-2 with a T5 that describes facial actions, or looks, as it is asked."""

from collections.abc import Mapping

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional
from transformers import Blip2Config, Blip2ForConditionalGeneration, Blip2VisionModel

from .drawn_faces import Drawn, flipped, planes, seen_by
from .loop import both_ways, train
from .plain_data import MODELS
from .sentences import ACTION_QUESTIONS, LOOK_QUESTIONS, OPEN_QUESTIONS, action_phrases, look_phrases, sentence
from .tokenizer import EOS, IMAGE, PAD, ids_of, make_tokenizer

_QUESTIONS = ACTION_QUESTIONS + LOOK_QUESTIONS + OPEN_QUESTIONS
_CONFIG = MODELS["teacher"]
_ANSWER = 64
_BATCH = 128
_COMMON_COSINE = 0.9
"""Between two faces' embeddings under one instruction; in real language models it is as high (Ethayarajh 2019)."""


def train_teacher(
    drawn: Drawn, steps: Mapping[str, int]
) -> tuple[Blip2ForConditionalGeneration, Tokenizer, dict[str, list[float]]]:
    """Train the vision tower, then all behind it but the decoder. Returns losses too."""
    actions = [sentence(action_phrases(face)) for face in drawn.faces]
    looks = [sentence(look_phrases(face)) for face in drawn.faces]
    tokenizer = make_tokenizer([*actions[:4000], *looks[:4000], *(q for q in _QUESTIONS for _ in range(300))], 768)
    model = Blip2ForConditionalGeneration(teacher_config(tokenizer.get_vocab_size()))
    with torch.no_grad():
        model.query_tokens.normal_(std=0.5)  # transformers begins with zeros, which makes all queries alike
    losses = {"vision": _learn_to_see(model.vision_model, drawn, steps["vision"])}
    losses["language"] = _learn_to_describe(model, tokenizer, drawn.images, [actions, looks], steps["language"])
    return model.eval(), tokenizer, losses


def _learn_to_see(tower: Blip2VisionModel, drawn: Drawn, steps: int) -> list[float]:
    """Read action units and looks off the pictures: a stand-in for the pre-training of a real tower."""
    whiten_patches(tower, drawn.images[:4000])
    intensities = torch.tensor([[*face.action_units.values(), abs(face.one_sided)] for face in drawn.faces])
    phrases = [look_phrases(face) for face in drawn.faces]
    names = sorted({phrase for one in phrases for phrase in one})
    looks = torch.tensor([[name in one for name in names] for one in phrases]).float()
    # every place by itself: a mean learns far slower
    head = nn.Linear(tower.embeddings.num_positions * tower.config.hidden_size, intensities.shape[1] + len(names))
    nn.init.normal_(head.weight, std=0.01)

    def loss(rows: Tensor) -> Tensor:
        said = head(tower(flipped(planes(drawn.images[rows]))).last_hidden_state.flatten(1))
        units, others = said.split((intensities.shape[1], len(names)), dim=1)
        misread = functional.binary_cross_entropy_with_logits
        return 6 * misread(units, intensities[rows]) + misread(others, looks[rows])

    parameters = [*tower.parameters(), *head.parameters()]
    return train("teacher, vision", parameters, loss, len(drawn.images), _BATCH, steps, 1.5e-3, 0.05)


@torch.no_grad()
def whiten_patches(tower: Blip2VisionModel, images: Tensor) -> None:
    """Let the patch embedding begin as a rotation of the whitened principal components of real patches."""
    embedding = tower.embeddings.patch_embedding
    width, patch = tower.config.hidden_size, tower.config.patch_size
    patches = functional.unfold(planes(images), patch, stride=patch).transpose(1, 2).flatten(0, 1)
    mean = patches.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov(patches.T))
    kept = vectors[:, -width:] / (values[-width:] + 1e-4).sqrt()
    weights = 0.3 * torch.linalg.qr(torch.randn(width, width))[0] @ kept.T
    embedding.weight.copy_(weights.view_as(embedding.weight))
    embedding.bias.copy_(-weights @ mean)
    tower.embeddings.position_embedding.normal_(std=0.3)


def _learn_to_describe(
    model: Blip2ForConditionalGeneration, tokenizer: Tokenizer, images: Tensor, answers: list[list[str]], steps: int
) -> list[float]:
    """Train all behind the frozen tower: the encoder's mean tells apart the answers to one question per batch."""
    model.vision_model.eval().requires_grad_(False)
    seen = seen_by(lambda pixels: model.vision_model(pixels).last_hidden_state.half(), images)
    questions = [torch.tensor([tokenizer.encode(text).ids]) for text in _QUESTIONS]
    words = [_bags(ids_of(tokenizer, texts, _ANSWER), tokenizer.get_vocab_size()) for texts in answers]
    read = nn.Linear(tokenizer.get_vocab_size(), model.config.text_config.d_model, bias=False)

    def loss(rows: Tensor) -> Tensor:
        question, about_looks = _draw_question()
        queries = model.qformer(
            query_embeds=model.query_tokens.expand(len(rows), -1, -1), encoder_hidden_states=seen[rows].float()
        ).last_hidden_state
        asked = model.get_input_embeddings()(questions[question]).expand(len(rows), -1, -1)
        tokens = torch.cat([model.language_projection(queries), asked], dim=1)
        mean = model.language_model.encoder(inputs_embeds=tokens).last_hidden_state.mean(1)
        logits = 20 * _deviation(mean) @ _deviation(read(words[about_looks][rows])).T
        common = functional.normalize(mean, dim=-1).mean(0).square().sum()
        return both_ways(logits) + 10 * (common - _COMMON_COSINE) ** 2

    parts = (model.qformer, model.language_projection, model.language_model.shared, model.language_model.encoder)
    trained = [model.query_tokens, *(parameter for part in (*parts, read) for parameter in part.parameters())]
    return train("teacher, language", dict.fromkeys(trained), loss, len(images), _BATCH, steps, 1e-3, 0.02)


def _bags(answers: Tensor, vocabulary: int) -> Tensor:
    """(n, length) token ids to (n, vocabulary) rows of length one: which tokens occur, rare ones weighing more."""
    held = torch.zeros(len(answers), vocabulary).scatter_(1, answers, 1.0)
    held[:, [PAD, EOS]] = 0.0
    return functional.normalize(held * torch.log(len(held) / (1 + held.sum(0))), dim=1)


def _draw_question() -> tuple[int, bool]:
    """Which question, and whether its answer is about looks: an open one may be answered either way."""
    actions, looks = len(ACTION_QUESTIONS), len(LOOK_QUESTIONS)
    chance = torch.rand(()).item()
    if chance < 0.5:
        return int(torch.randint(actions, ())), False
    if chance < 0.9:
        return actions + int(torch.randint(looks, ())), True
    return actions + looks + int(torch.randint(len(OPEN_QUESTIONS), ())), bool(torch.rand(()) < 0.5)


def _deviation(embeddings: Tensor) -> Tensor:
    """Directions from the batch's mean."""
    return functional.normalize(embeddings - embeddings.mean(0), dim=-1)


def teacher_config(vocabulary: int) -> Blip2Config:
    text = _CONFIG["text_config"] | {"vocab_size": vocabulary, "pad_token_id": PAD, "eos_token_id": EOS}
    text["decoder_start_token_id"] = PAD
    return Blip2Config(**_CONFIG | {"text_config": text, "image_token_index": IMAGE})
