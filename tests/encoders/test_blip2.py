"""e_Q and e_G are what transformers' full BLIP-2 computes, though half of it is never loaded."""

import gc
from pathlib import Path

import numpy as np
import pytest
import torch
from expclip.encoders.blip2 import sides
from expclip.encoders.blip2.parts import TextParts
from expclip.encoders.blip2.teacher import find
from expclip.encoders.hashes import Hashes
from expclip.errors import ExpclipError
from tokenizers import Tokenizer
from torchvision.transforms.functional import normalize
from transformers import Blip2ForConditionalGeneration

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
FLOAT16 = {"rtol": 1e-3, "atol": 1e-3}


def full_model(folder: Path, planes: torch.Tensor, text: str) -> tuple[np.ndarray, np.ndarray]:
    """e_Q and e_G by the library's own model: with placeholders for the image in the text, decoder and all."""
    model = Blip2ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    words = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text).ids
    placeholders = [model.config.image_token_index] * model.config.num_query_tokens
    ids = torch.tensor([placeholders + words] * len(planes))
    with torch.no_grad():
        output = model(pixel_values=planes, input_ids=ids, decoder_input_ids=torch.zeros(len(planes), 1).long())
    hidden = output.language_model_outputs.encoder_last_hidden_state
    assert hidden.shape[1] == len(placeholders) + len(words)
    return output.qformer_outputs.last_hidden_state.numpy(), hidden.mean(dim=1).numpy()


@pytest.mark.parametrize("protocol", ["released", "paper"])
def test_features_are_those_of_the_full_model(teacher, models, pixels, protocol):
    found = models(protocol)
    e_q = found.query_tokens(str(teacher)).load("cpu")(pixels)
    node = found.llm(str(teacher), "related-1")
    e_g = node.load("cpu")(e_q.astype(np.float16))
    planes = torch.from_numpy(pixels.copy()).permute(0, 3, 1, 2) / 255
    planes = normalize(planes, MEAN, STD) if protocol == "paper" else planes
    expected_q, expected_g = full_model(teacher, planes, node.spec["instruction"])
    np.testing.assert_allclose(e_q, expected_q, **FLOAT16)
    np.testing.assert_allclose(e_g, expected_g, rtol=1e-2, atol=2e-3)
    for features in (e_g, expected_g):
        assert np.linalg.norm(features[0] - features[1]) > 0.1 * np.linalg.norm(features[0])


@pytest.mark.parametrize(
    "setting",
    [
        ("text_config", "dense_act_fn", "gelu"),
        ("text_config", "dense_act_fn", "relu"),
        ("vision_config", "layer_norm_eps", 0.1),
        ("qformer_config", "layer_norm_eps", 0.1),
    ],
    ids=lambda setting: f"{setting[0]}.{setting[1]}={setting[2]}",
)
def test_the_configuration_is_taken_verbatim(teacher, models, pixels, edit_json, setting):
    def features() -> np.ndarray:
        node = models().llm(str(teacher), "empty")
        return node.load("cpu")(node.parent.load("cpu")(pixels))

    before = features()
    edit_json(teacher / "config.json", *setting)
    after = features()
    planes = torch.from_numpy(pixels.copy()).permute(0, 3, 1, 2) / 255
    np.testing.assert_allclose(after, full_model(teacher, planes, "")[1], rtol=1e-5, atol=1e-5)
    assert np.abs(after - before).max() > 1e-4


def test_an_image_has_the_same_features_alone_and_in_a_batch(teacher, models, pixels):
    node = models().llm(str(teacher), "related-2")
    image_side, text_side = node.parent.load("cpu"), node.load("cpu")
    together = text_side(image_side(pixels))
    alone = np.concatenate([text_side(image_side(pixels[k : k + 1])) for k in range(len(pixels))])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)


def test_instructions_change_e_g_and_share_e_q(teacher, models, pixels):
    found = models()
    first, second = (found.llm(str(teacher), name) for name in ("related-1", "empty"))
    assert first.parent.digest == second.parent.digest
    e_q = first.parent.load("cpu")(pixels)
    assert np.abs(first.load("cpu")(e_q) - second.load("cpu")(e_q)).max() > 1e-2


TEXTS = ["happiness.", "an expression of fear.", "", "a person making a facial expression of disgust", "sadness."]


def t5_alone(folder: Path, text: str) -> np.ndarray:
    """The token mean by the encoder of the library's own T5, in float64."""
    t5 = Blip2ForConditionalGeneration.from_pretrained(folder, dtype=torch.float64).eval().language_model
    ids = torch.tensor([Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text).ids])
    with torch.no_grad():
        return t5.get_encoder()(input_ids=ids).last_hidden_state[0].mean(dim=0).numpy()


def test_text_features_are_those_of_the_full_t5_given_the_text_alone(teacher, models):
    node = models().llm_text(str(teacher))
    found = node.load("cpu")(TEXTS)
    assert found.shape == (len(TEXTS), *node.row_shape)
    np.testing.assert_allclose(found, [t5_alone(teacher, text) for text in TEXTS], rtol=1e-4, atol=1e-5)
    assert np.linalg.norm(found[0] - found[1]) > 0.1 * np.linalg.norm(found[0])


def test_text_features_depend_on_the_t5_and_on_nothing_else_of_the_teacher(teacher, models, edit_json):
    before = models().llm_text(str(teacher)).digest
    edit_json(teacher / "config.json", "vision_config", "layer_norm_eps", 0.1)
    assert models(protocol="paper").llm_text(str(teacher)).digest == before
    assert models(dtype="bfloat16").llm_text(str(teacher)).digest != before
    edit_json(teacher / "config.json", "text_config", "dense_act_fn", "relu")
    assert models().llm_text(str(teacher)).digest != before


def test_texts_and_instructions_share_one_t5(teacher, models, reads):
    found = models()
    encoders = [found.llm(str(teacher), "related-1").load("cpu"), found.llm_text(str(teacher)).load("cpu")]
    assert reads.tensors.count("language_model.shared.weight") == 1
    assert encoders[0]._parts is encoders[1]._parts


def test_bfloat16_stays_close_to_float32(teacher, models, pixels):
    exact, rough = models(), models(dtype="bfloat16")
    e_q = exact.query_tokens(str(teacher)).load("cpu")(pixels)
    near_q = rough.query_tokens(str(teacher)).load("cpu")(pixels)
    assert 1e-5 < np.linalg.norm(near_q - e_q) / np.linalg.norm(e_q) < 0.02
    e_g, near_g = (found.llm(str(teacher), "related-1").load("cpu")(e_q) for found in (exact, rough))
    assert 1e-5 < np.linalg.norm(near_g - e_g) / np.linalg.norm(e_g) < 0.03


def test_each_part_has_its_dtype(teacher, models):
    found = models(dtype="float16")
    image = found.query_tokens(str(teacher)).load("cpu")._parts
    text = found.llm(str(teacher), "empty").load("cpu")._parts
    block = image.vision_model.encoder.layers[0]
    assert block.self_attn.qkv.weight.dtype == block.mlp.fc1.bias.dtype == torch.float16
    assert block.layer_norm1.weight.dtype == image.vision_model.embeddings.position_embedding.dtype == torch.float32
    assert {tensor.dtype for tensor in image.qformer.parameters()} == {image.query_tokens.dtype} == {torch.float32}
    assert {tensor.dtype for tensor in text.language_projection.parameters()} == {torch.float32}
    assert {tensor.dtype for tensor in text.language_model.parameters()} == {torch.bfloat16}


def test_the_residual_streams_are_float32_where_the_products_are_not(teacher, models, pixels):
    found = models(dtype="float16")
    image = found.query_tokens(str(teacher)).load("cpu")
    text = found.llm(str(teacher), "empty").load("cpu")
    streams = []
    for block in (image._parts.vision_model.encoder.layers[1], text._parts.language_model.encoder.block[1]):
        block.register_forward_pre_hook(lambda _, inputs: streams.append(inputs[0].dtype))
    text(image(pixels))
    assert streams == [torch.float32, torch.float32]


def test_several_instructions_load_the_t5_once_and_none_keeps_it(teacher, models, reads):
    found = models()
    encoders = [found.llm(str(teacher), name).load("cpu") for name in ("related-1", "related-2", "related-3")]
    assert reads.tensors.count("language_model.shared.weight") == 1
    assert len({id(encoder._parts) for encoder in encoders}) == 1
    encoders.clear()
    gc.collect()
    assert not sides._text_parts


def test_other_weights_in_the_same_place_are_loaded_anew(teacher, models, pixels, read_tensors, write_tensors):
    before = models().llm(str(teacher), "empty").load("cpu")
    tensors = read_tensors(teacher)
    tensors["language_model.shared.weight"] *= 2
    write_tensors(teacher, tensors)
    after = models().llm(str(teacher), "empty").load("cpu")
    torch.testing.assert_close(after._words, 2 * before._words)


def test_no_tensor_is_held_twice(teacher, models):
    parts = models(dtype="bfloat16").llm(str(teacher), "empty").load("cpu")._parts
    held = {tensor.data_ptr(): tensor.nbytes for tensor in parts.state_dict().values()}
    expected = TextParts(find(str(teacher), Hashes()), torch.bfloat16)
    assert sum(held.values()) == sum(parameter.nbytes for parameter in expected.parameters())
    assert (
        parts.language_model.shared.weight.data_ptr() == parts.language_model.encoder.embed_tokens.weight.data_ptr()
    )


def test_tensors_are_cast_one_by_one(teacher, models, reads, read_tensors, write_tensors):
    write_tensors(teacher, {name: tensor.half() for name, tensor in read_tensors(teacher).items()})
    models(dtype="bfloat16").llm(str(teacher), "empty").load("cpu")
    assert len(reads.tensors) > 20
    assert reads.most_alive <= 2  # the one that is read, and the one before it


def test_a_tokenizer_of_another_model_is_refused(teacher, models):
    path = teacher / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.add_tokens(["facial"])
    tokenizer.save(str(path))
    with pytest.raises(ExpclipError, match=r"tokenizer\.json: this tokenizer does not belong to the T5"):
        models().llm(str(teacher), "related-1").load("cpu")


def test_a_tokenizer_that_would_cut_or_pad_an_instruction_does_not(teacher, models):
    whole = models().llm(str(teacher), "related-1").load("cpu")._words
    path = teacher / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=100)
    tokenizer.save(str(path))
    assert torch.equal(models().llm(str(teacher), "related-1").load("cpu")._words, whole)
