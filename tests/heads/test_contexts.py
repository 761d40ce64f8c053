"""Learnt contexts against a text model's own reading of the whole sequence, and where they stand in it."""

import open_clip
import pytest
import torch
from expclip.encoders.clip.prompt_tower import PromptTower
from expclip.encoders.families import Models
from expclip.errors import UsageError
from expclip.heads.clip_recipe import PER_CLASS, POSITIONS, SHARED, ClassTexts, Contexts
from expclip.heads.contexts import LearntPrompts, words_read
from torch.nn.functional import normalize

TEXTS = "a smile.", "wide eyes and an open mouth.", "lips pressed together, a frown."
START, END = 49406, 49407
FREE = 40_000
"""Token ids from here on stand in none of the texts: their embeddings are put to use as contexts."""


@pytest.fixture(scope="module")
def clip():
    """A small CLIP with the vocabulary and the context length of OpenAI's, with QuickGELU."""
    torch.manual_seed(0)
    vision = {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16}
    text = {"width": 48, "heads": 3, "layers": 2}
    model = open_clip.CLIP(16, open_clip.CLIPVisionCfg(**vision), open_clip.CLIPTextCfg(**text), quick_gelu=True)
    return model.eval().requires_grad_(False)


def tower_of(model) -> PromptTower:
    return PromptTower("small", model, open_clip.get_tokenizer("ViT-B-32"), "cpu")


def by_hand(model, contexts: Contexts, context: torch.Tensor) -> torch.Tensor:
    """(classes, L) of whole sequences of 77 tokens, by the model itself: contexts are embeddings of unused tokens."""
    tokenize, n = open_clip.get_tokenizer("ViT-B-32"), contexts.tokens
    sequences = torch.zeros(len(TEXTS), 77, dtype=torch.long)
    for k, text in enumerate(TEXTS):
        of_class = 0 if contexts.per == SHARED else k
        ids = list(range(FREE + of_class * n, FREE + (of_class + 1) * n))
        words = tokenize.encode(text)
        if contexts.position == "end":
            inner = ids + words
        elif contexts.position == "front":
            inner = words + ids
        else:
            inner = ids[: n // 2] + words + ids[n // 2 :]
        whole = [START, *inner, END]
        sequences[k, : len(whole)] = torch.tensor(whole)
    table = model.token_embedding.weight
    kept = table[FREE : FREE + context[:, 0].shape[0] * n].clone()
    table[FREE : FREE + len(kept)] = context.detach().reshape(-1, table.shape[1])
    found = model.encode_text(sequences, normalize=True)
    table[FREE : FREE + len(kept)] = kept
    return found


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("per", [PER_CLASS, SHARED])
@pytest.mark.parametrize("tokens", [4, 8, 16])
def test_a_cut_prompt_with_contexts_is_the_whole_sequence_that_is_built_by_hand(clip, position, per, tokens):
    contexts = Contexts(tokens, per, position)
    prompts = LearntPrompts(ClassTexts(tower_of(clip), TEXTS), contexts)
    context = prompts.initial(torch.Generator().manual_seed(1)) * 20
    assert context.shape == (3 if per == PER_CLASS else 1, tokens, 48)
    torch.testing.assert_close(prompts.directions(context), by_hand(clip, contexts, context), rtol=0, atol=1e-5)
    longest = 1 + tokens + max(len(open_clip.get_tokenizer("ViT-B-32").encode(text)) for text in TEXTS) + 1
    assert prompts.sequences(context).shape[1] == longest < 77


def test_the_real_text_tower_gives_the_same_of_cut_prompts():
    torch.manual_seed(0)
    model = open_clip.create_model("ViT-B-32-quickgelu", load_weights=False).eval().requires_grad_(False)
    contexts = Contexts()
    prompts = LearntPrompts(ClassTexts(tower_of(model), TEXTS), contexts)
    context = prompts.initial(torch.Generator().manual_seed(1))
    torch.testing.assert_close(prompts.directions(context), by_hand(model, contexts, context), rtol=0, atol=1e-5)


def test_contexts_start_small_and_have_the_released_numbers():
    """28,672 numbers for 7 classes, each from N(0, 0.02²)."""

    class Wide:
        context_length = 77

        def words(self, texts):
            return [torch.zeros(3, 512) for _ in texts], torch.zeros(1, 512), torch.zeros(1, 512)

    context = LearntPrompts(ClassTexts(Wide(), ("",) * 7), Contexts()).initial(torch.Generator().manual_seed(0))
    assert context.numel() == 28_672
    assert abs(float(context.std()) - 0.02) < 5e-4 and abs(float(context.mean())) < 5e-4


def test_only_the_contexts_have_gradients_and_they_are_those_of_differences(clip):
    prompts = LearntPrompts(ClassTexts(tower_of(clip), TEXTS), Contexts(4))
    context, towards = prompts.initial(torch.Generator().manual_seed(1)), torch.randn(3, 16)
    context.requires_grad_()

    def along(values: torch.Tensor) -> torch.Tensor:
        return (prompts.directions(values) * towards).sum()

    along(context).backward()
    assert all(value.grad is None for value in clip.parameters())
    way = torch.randn(context.shape) * 1e-3
    with torch.no_grad():
        found = float(along(context + way) - along(context - way))
    assert found == pytest.approx(2 * float((context.grad * way).sum()), rel=0.02)


def test_a_tower_with_an_end_token_of_its_own_and_no_start_reads_fixed_words_as_it_does_itself():
    tower = Models().node("clip_text", "miniature", dtype="float32").load("cpu")
    opened = tower.for_prompts()
    words, start, end = opened.words(["a happy face", "a face"])
    assert len(start) == 0 and [len(one) for one in words] == [3, 2]
    for text, one in zip(["a happy face", "a face"], words, strict=True):
        found = opened.encode(torch.cat([one, end])[None], torch.tensor([len(one)]))
        expected = torch.from_numpy(tower([text]))
        torch.testing.assert_close(normalize(found), normalize(expected), rtol=0, atol=1e-5)


def test_words_that_are_not_read_are_cut_and_one_is_always_read(clip):
    tower = tower_of(clip)
    long = ClassTexts(tower, ("smile " * 90, "a frown."))
    prompts = LearntPrompts(long, Contexts(8))
    assert words_read(tower, Contexts(8)) == 77 - 1 - 8 - 1
    assert prompts.sequences(prompts.initial(None)).shape[1] == 77
    with pytest.raises(UsageError, match="context_tokens 75: 77 tokens are read, and the words of a class need some"):
        LearntPrompts(long, Contexts(75))


def test_a_text_tower_that_looks_both_ways_is_refused():
    torch.manual_seed(0)
    text = open_clip.CLIPTextCfg(width=16, heads=2, layers=1, no_causal_mask=True)
    vision = open_clip.CLIPVisionCfg(image_size=32, layers=1, width=16, patch_size=16, head_width=16)
    with pytest.raises(UsageError, match=r"clip both: prompts are learnt through a text tower that reads from left"):
        PromptTower("both", open_clip.CustomTextCLIP(8, vision, text), open_clip.get_tokenizer("ViT-B-32"), "cpu")
