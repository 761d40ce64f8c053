"""The full-size teacher, built without storage: what is loaded of it, and what is not."""

import json

import pytest
import torch
from expclip.encoders.blip2.parts import ImageParts, TextParts
from expclip.encoders.blip2.teacher import Teacher, find
from expclip.encoders.hashes import Hashes

CONFIG = {
    "model_type": "blip-2",
    "num_query_tokens": 32,
    "vision_config": {
        "hidden_size": 1408,
        "num_hidden_layers": 39,
        "num_attention_heads": 16,
        "intermediate_size": 6144,
        "patch_size": 14,
        "image_size": 224,
    },
    "qformer_config": {
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "cross_attention_frequency": 2,
        "encoder_hidden_size": 1408,
    },
    "text_config": {
        "model_type": "t5",
        "d_model": 4096,
        "d_kv": 64,
        "d_ff": 10240,
        "num_layers": 24,
        "num_decoder_layers": 24,
        "num_heads": 64,
        "vocab_size": 32128,
        "feed_forward_proj": "gated-gelu",
        "dense_act_fn": "gelu",
        "is_gated_act": True,
    },
}
"""Of Salesforce/blip2-flan-t5-xxl."""


@pytest.fixture
def xxl(tmp_path) -> Teacher:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    return find(str(tmp_path), Hashes())


def millions(*modules: torch.nn.Module) -> int:
    return round(sum(parameter.numel() for module in modules for parameter in module.parameters()) / 1e6)


def test_the_encoder_side_has_5_86_of_12_1_billion_parameters(xxl):
    image, text = ImageParts(xxl), TextParts(xxl)
    assert millions(image.vision_model) == 986
    assert millions(image.qformer) == 105
    assert millions(text.language_projection) == 3
    assert millions(text.language_model.shared) == 132
    assert millions(text.language_model.encoder.block, text.language_model.encoder.final_layer_norm) == 4631
    assert millions(text.language_model) == millions(text.language_model.shared) + 4631 - 1  # rounding
    assert 5855 <= millions(image, text) <= 5860


def test_nothing_has_storage_and_no_buffer_would_be_left_without(xxl):
    for parts in (ImageParts(xxl), TextParts(xxl)):
        assert all(tensor.is_meta for tensor in parts.state_dict().values())
        assert not list(parts.buffers())


def test_the_released_models_activation_is_kept(xxl):
    assert xxl.text["dense_act_fn"] == "gelu"
    assert TextParts(xxl).language_model.encoder.block[0].layer[1].DenseReluDense.act is not None
    assert TextParts(xxl).language_model.config.dense_act_fn == "gelu"


def test_no_default_dtype_of_the_user_leaks_in(xxl):
    torch.set_default_dtype(torch.float64)
    try:
        dtypes = {tensor.dtype for parts in (ImageParts(xxl), TextParts(xxl)) for tensor in parts.parameters()}
    finally:
        torch.set_default_dtype(torch.float32)
    assert dtypes == {torch.float32}
