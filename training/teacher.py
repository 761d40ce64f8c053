"""The miniature's teacher: a stock BLIP-2 with a T5 that describes facial actions, or looks, as it is asked."""

from collections.abc import Sequence

import torch
from descriptions import (
    ACTION_QUESTIONS,
    LOOK_QUESTIONS,
    OPEN_QUESTIONS,
    action_phrases,
    look_phrases,
    sentence,
)
from expclip.manifests.faces.action_units import ACTION_UNITS
from expclip.manifests.faces.sampling import Face
from loop import train
from pictures import IMAGE_SIZE, flipped, normalised
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2QFormerConfig,
    Blip2VisionConfig,
    Blip2VisionModel,
    T5Config,
)

PATCH, WIDTH, QUERIES = 16, 160, 8
PAD, EOS, UNKNOWN, IMAGE = SPECIAL = "<pad>", "</s>", "<unk>", "<image>"
_ANSWER = 64


class Answers:
    """Descriptions of the faces as token ids, -100 where there is none, for T5's loss."""

    def __init__(self, tokenizer: Tokenizer, texts: list[str]):
        self.ids = torch.full((len(texts), _ANSWER), -100)
        for row, encoding in enumerate(tokenizer.encode_batch(texts)):
            ids = encoding.ids[:_ANSWER]
            self.ids[row, : len(ids)] = torch.tensor(ids)
        self.ids = self.ids[:, : int((self.ids >= 0).sum(1).max())]


def train_teacher(
    images: Tensor, faces: Sequence[Face], steps: tuple[int, int]
) -> tuple[Blip2ForConditionalGeneration, Tokenizer, dict[str, list[float]]]:
    actions = [sentence(action_phrases(face)) for face in faces]
    looks = [sentence(look_phrases(face)) for face in faces]
    tokenizer = make_tokenizer(actions[:4000] + looks[:4000])
    model = Blip2ForConditionalGeneration(_config(tokenizer.get_vocab_size()))
    with torch.no_grad():
        model.query_tokens.normal_(std=0.5)
    losses = {"vision": _train_tower(model.vision_model, images, faces, steps[0])}
    losses["language"] = _train_language(
        model, tokenizer, images, Answers(tokenizer, actions).ids, Answers(tokenizer, looks).ids, steps[1]
    )
    return model, tokenizer, losses


def make_tokenizer(texts: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=768,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(
        [*texts, *[q for q in ACTION_QUESTIONS + LOOK_QUESTIONS + OPEN_QUESTIONS for _ in range(300)]], trainer
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {EOS}", special_tokens=[(EOS, SPECIAL.index(EOS))]
    )
    return tokenizer


def _train_tower(tower: Blip2VisionModel, images: Tensor, faces: Sequence[Face], steps: int) -> list[float]:
    whiten_patches(tower, images[:4000])
    intensities = torch.tensor([[face.action_units[unit] for unit in ACTION_UNITS] for face in faces])
    phrases = [look_phrases(face) for face in faces]
    names = sorted({phrase for one in phrases for phrase in one})
    looks = torch.tensor([[name in one for name in names] for one in phrases])
    head = nn.Linear(WIDTH, len(ACTION_UNITS) + len(names))

    def loss(rows: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            pooled = tower(flipped(normalised(images[rows]))).last_hidden_state.mean(1)
        said = head(pooled.float())
        units = said[:, : len(ACTION_UNITS)]
        return 6 * functional.binary_cross_entropy_with_logits(
            units, intensities[rows]
        ) + functional.binary_cross_entropy_with_logits(said[:, len(ACTION_UNITS) :], looks[rows].float())

    return train(
        "teacher, vision", [*tower.parameters(), *head.parameters()], loss, len(images), 128, steps, 1.5e-3, 0.05
    )


@torch.no_grad()
def whiten_patches(tower: Blip2VisionModel, images: Tensor) -> None:
    """Let the patch embedding begin as a rotation of the whitened principal components of real patches."""
    embedding = tower.embeddings.patch_embedding
    patches = functional.unfold(normalised(images), PATCH, stride=PATCH).transpose(1, 2).flatten(0, 1)
    mean = patches.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov(patches.T))
    kept = vectors[:, -WIDTH:] / (values[-WIDTH:] + 1e-4).sqrt()
    weights = 0.3 * torch.linalg.qr(torch.randn(WIDTH, WIDTH))[0] @ kept.T
    embedding.weight.copy_(weights.view_as(embedding.weight))
    embedding.bias.copy_(-weights @ mean)
    tower.embeddings.position_embedding.normal_(std=0.3)


def _train_language(model, tokenizer, images, actions, looks, steps) -> list[float]:
    """Train everything behind the frozen tower to answer, and the encoder's mean to hold the answer's words."""
    model.vision_model.eval().requires_grad_(False)
    with torch.no_grad():
        seen = torch.cat(
            [model.vision_model(normalised(part)).last_hidden_state.half() for part in images.split(500)]
        )
    questions = _questions(tokenizer)
    n_action, n_look = len(ACTION_QUESTIONS), len(LOOK_QUESTIONS)
    here = torch.arange(128)
    rng = torch.Generator().manual_seed(torch.initial_seed() + 1)

    def loss(rows: Tensor) -> Tensor:
        n = len(rows)
        chance = torch.rand(n, generator=rng)
        kind = torch.where(chance < 0.5, 0, torch.where(chance < 0.92, 1, 2))
        sizes = torch.tensor([n_action, n_look, len(OPEN_QUESTIONS)])
        starts = torch.tensor([0, n_action, n_action + n_look])
        which = starts[kind] + (torch.rand(n, generator=rng) * sizes[kind]).long()
        about_actions = (kind == 0) | ((kind == 2) & (torch.rand(n, generator=rng) < 0.5))
        ids = questions[which]
        width = max(actions.shape[1], looks.shape[1])
        labels = torch.where(
            about_actions[:, None],
            functional.pad(actions[rows], (0, width - actions.shape[1]), value=-100),
            functional.pad(looks[rows], (0, width - looks.shape[1]), value=-100),
        )
        labels = labels[:, : int((labels >= 0).sum(1).max())].contiguous()
        mask = ids != 0
        with torch.autocast("cpu", torch.bfloat16):
            queries = model.qformer(
                query_embeds=model.query_tokens.expand(n, -1, -1),
                encoder_hidden_states=seen[rows].float(),
                return_dict=True,
            )[0]
            embedded = model.get_input_embeddings()(ids)
            embedded = embedded.masked_scatter(
                (ids == SPECIAL.index(IMAGE)).unsqueeze(-1), model.language_projection(queries).to(embedded.dtype)
            )
            out = model.language_model(
                inputs_embeds=embedded, attention_mask=mask.long(), labels=labels, return_dict=True
            )
        encoded = out.encoder_last_hidden_state.float()
        mean = (encoded * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        answer = torch.where(labels < 0, SPECIAL.index(PAD), labels)
        held = answer != SPECIAL.index(PAD)
        with torch.autocast("cpu", torch.bfloat16):
            read = model.language_model.encoder(
                input_ids=answer, attention_mask=held.long()
            ).last_hidden_state.float()
        target = (read * held[..., None]).sum(1) / held.sum(1, keepdim=True)
        logits = 20 * functional.normalize(mean, dim=-1) @ functional.normalize(target, dim=-1).T
        return out.loss.float() + 0.5 * (
            functional.cross_entropy(logits, here) + functional.cross_entropy(logits.T, here)
        )

    parts = (model.qformer, model.language_projection, model.language_model)
    return train(
        "teacher, language",
        [model.query_tokens, *(p for part in parts for p in part.parameters())],
        loss,
        len(images),
        128,
        steps,
        1e-3,
        0.02,
    )


def _questions(tokenizer: Tokenizer) -> Tensor:
    prefix = [SPECIAL.index(IMAGE)] * QUERIES
    encoded = [prefix + tokenizer.encode(q).ids for q in ACTION_QUESTIONS + LOOK_QUESTIONS + OPEN_QUESTIONS]
    ids = torch.zeros(len(encoded), max(map(len, encoded)), dtype=torch.long)
    for row, one in enumerate(encoded):
        ids[row, : len(one)] = torch.tensor(one)
    return ids


def _config(vocabulary: int) -> Blip2Config:
    return Blip2Config(
        vision_config=Blip2VisionConfig(
            hidden_size=WIDTH,
            intermediate_size=3 * WIDTH,
            num_hidden_layers=3,
            num_attention_heads=5,
            image_size=IMAGE_SIZE,
            patch_size=PATCH,
            initializer_range=0.02,
        ).to_dict(),
        qformer_config=Blip2QFormerConfig(
            vocab_size=8,
            hidden_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=256,
            cross_attention_frequency=1,
            encoder_hidden_size=WIDTH,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            max_position_embeddings=8,
        ).to_dict(),
        text_config=T5Config(
            vocab_size=vocabulary,
            d_model=128,
            d_kv=32,
            d_ff=256,
            num_layers=3,
            num_decoder_layers=1,
            num_heads=4,
            feed_forward_proj="gated-gelu",
            dropout_rate=0.0,
            decoder_start_token_id=0,
            pad_token_id=0,
            eos_token_id=1,
        ).to_dict(),
        num_query_tokens=QUERIES,
        image_token_index=SPECIAL.index(IMAGE),
    )
