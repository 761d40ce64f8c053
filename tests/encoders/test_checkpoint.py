"""Only what is needed is read, from every form of checkpoint; what is wrong with one is said in one line."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from expclip.errors import ExpclipError, UsageError

INDEX = "model.safetensors.index.json"
SHARED, TIED = "language_model.shared.weight", "language_model.encoder.embed_tokens.weight"


def is_decoders(name: str) -> bool:
    return name.startswith(("language_model.decoder.", "language_model.lm_head."))


@pytest.fixture
def features(models, pixels):
    """e_G of the pictures by the teacher in a folder."""

    def encode(folder: Path, dtype: str = "float32") -> np.ndarray:
        node = models(dtype=dtype).llm(str(folder), "related-1")
        return node.load("cpu")(node.parent.load("cpu")(pixels))

    return encode


def test_no_tensor_of_the_decoder_and_no_tensor_twice_is_read(teacher, features, reads, read_tensors):
    features(teacher)
    everything = read_tensors(teacher).keys()
    assert any(map(is_decoders, everything))
    assert sorted(reads.tensors) == sorted(name for name in everything if not is_decoders(name))


def test_shards_of_the_decoder_alone_need_not_be_there(teacher, features):
    expected = features(teacher)
    holder = json.loads((teacher / INDEX).read_text())["weight_map"]
    spare = set(holder.values()) - {shard for name, shard in holder.items() if not is_decoders(name)}
    assert spare
    for shard in spare:
        (teacher / shard).unlink()
    np.testing.assert_array_equal(features(teacher), expected)


@pytest.mark.parametrize("decoder", [True, False], ids=["with decoder", "without decoder"])
def test_a_single_file_does_as_well(teacher, features, read_tensors, write_tensors, decoder):
    expected = features(teacher)
    tensors = read_tensors(teacher)
    write_tensors(teacher, {name: tensor for name, tensor in tensors.items() if decoder or not is_decoders(name)})
    np.testing.assert_array_equal(features(teacher), expected)


@pytest.mark.parametrize("kept", [(SHARED,), (TIED,), (SHARED, TIED)], ids=["shared", "embed_tokens", "both"])
def test_the_token_embedding_may_have_either_name(teacher, features, reads, read_tensors, write_tensors, kept):
    expected = features(teacher)
    tensors = read_tensors(teacher)
    embedding = tensors.pop(SHARED)
    write_tensors(teacher, tensors | {name: embedding.clone() for name in kept})
    reads.tensors.clear()
    np.testing.assert_array_equal(features(teacher), expected)
    assert sum(name in (SHARED, TIED) for name in reads.tensors) == 1


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16], ids=str)
def test_the_dtype_on_disk_only_rounds(teacher, features, read_tensors, write_tensors, stored):
    rounded = {name: tensor.to(stored) for name, tensor in read_tensors(teacher).items()}
    write_tensors(teacher, {name: tensor.float() for name, tensor in rounded.items()})
    expected = features(teacher)
    write_tensors(teacher, rounded)
    np.testing.assert_array_equal(features(teacher), expected)


def test_tensors_that_no_part_takes_are_passed_over(teacher, features, read_tensors, write_tensors):
    expected = features(teacher)
    extra = {
        "qformer.embeddings.word_embeddings.weight": torch.ones(8, 48),
        "qformer.embeddings.position_ids": torch.arange(512)[None],
        "qformer.encoder.layer.0.intermediate.dense.weight": torch.ones(96, 48),
    }
    write_tensors(teacher, read_tensors(teacher) | extra)
    np.testing.assert_array_equal(features(teacher), expected)


def fails(features, teacher: Path, error: type[ExpclipError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        features(teacher)
    assert caught.type is error
    assert "\n" not in str(caught.value)
    assert str(teacher) in str(caught.value)


@pytest.mark.parametrize(
    ("keys_and_value", "message"),
    [
        (("model_type", "llava"), "describes a llava with the language model t5; a blip-2 with a t5 is needed"),
        (("text_config", "model_type", "opt"), "a blip-2 with the language model opt; a blip-2 with a t5 is needed"),
        (("text_config", None), "language model \\(none\\)"),
        (("text_config", "d_ff", "wide"), "text_config of config.json cannot be used .*d_ff"),
        (("vision_config", [1]), "vision_config of config.json cannot be used"),
        (("vision_config", "hidden_act", "jelly"), "the model of config.json cannot be used .*jelly"),
        (("vision_config", "num_attention_heads", 7), "the model of config.json cannot be used .*num_heads"),
        (("vision_config", "image_size", [64, 32]), r"image_size is \[64, 32\]"),
        (("num_query_tokens", "many"), "num_query_tokens is 'many'"),
    ],
)
def test_a_configuration_that_describes_no_teacher_is_a_mistake_in_use(
    teacher, features, edit_json, keys_and_value, message
):
    edit_json(teacher / "config.json", *keys_and_value)
    fails(features, teacher, UsageError, message)


@pytest.mark.parametrize(
    ("keys_and_value", "message"),
    [
        (
            ("num_query_tokens", 9),
            r"query_tokens is \(1, 8, 48\) in the weights and \(1, 9, 48\) by the configuration",
        ),
        (("text_config", "d_ff", 200), r"wi_0.weight is \(192, 96\) in the weights and \(200, 96\)"),
        (("vision_config", "num_hidden_layers", 3), r"the weights lack vision_model.encoder.layers.2.*and 11 more"),
        (("text_config", "num_layers", 1), r"no place for language_model.encoder.block.1.*more"),
        (("qformer_config", "cross_attention_frequency", 2), r"no place for qformer.encoder.layer.1.crossattention"),
        (("vision_config", "qkv_bias", False), r"no place for vision_model.encoder.layers.0.self_attn.qkv.bias"),
        (("text_config", "feed_forward_proj", "relu"), r"weights lack|no place"),
    ],
)
def test_weights_that_do_not_fit_the_configuration_are_refused(teacher, features, edit_json, keys_and_value, message):
    if keys_and_value[1] == "feed_forward_proj":
        edit_json(teacher / "config.json", "text_config", "is_gated_act", False)
    edit_json(teacher / "config.json", *keys_and_value)
    fails(features, teacher, ExpclipError, message)


def replace(name: str, content: bytes | None):
    def do(folder: Path) -> None:
        path = folder / name
        path.unlink() if content is None else path.write_bytes(content)

    return do


def truncate(name: str):
    return lambda folder: os.truncate(folder / name, (folder / name).stat().st_size - 100)


def place_all_tensors_in(shard: object):
    def do(folder: Path) -> None:
        index = json.loads((folder / INDEX).read_text())
        index["weight_map"] = dict.fromkeys(index["weight_map"], shard)
        (folder / INDEX).write_text(json.dumps(index))

    return do


SECOND = "model-00002-of-00008.safetensors"
BROKEN = {
    "no configuration": (replace("config.json", None), UsageError, "has no config.json: copy all files"),
    "no JSON": (replace("config.json", b"{"), ExpclipError, "config.json: not JSON"),
    "no JSON object": (replace("config.json", b"[]"), ExpclipError, "config.json: not a JSON object"),
    "not UTF-8": (replace("config.json", b"\xff\xfe"), ExpclipError, "config.json: not JSON"),
    "no tokenizer": (replace("tokenizer.json", None), UsageError, "has no tokenizer.json"),
    "empty tokenizer": (replace("tokenizer.json", b"{}"), ExpclipError, "tokenizer.json: not a tokenizer"),
    "no weights": (replace(INDEX, None), UsageError, f"neither {INDEX} nor model.safetensors"),
    "index without map": (replace(INDEX, b"{}"), ExpclipError, "has no usable `weight_map`"),
    "index of numbers": (place_all_tensors_in(1), ExpclipError, "has no usable `weight_map`"),
    "missing shard": (replace(SECOND, None), UsageError, f"has no {SECOND}"),
    "truncated shard": (truncate(SECOND), ExpclipError, f"{SECOND}: not a complete safetensors file"),
    "pointer of git-lfs": (replace(SECOND, b"version https://git-lfs"), ExpclipError, "download it again"),
    "shard without its tensors": (
        place_all_tensors_in(SECOND),
        ExpclipError,
        rf"{SECOND}: not a complete safetensors file \(.* contain tensor ",
    ),
    "shard outside": (
        place_all_tensors_in("../x.safetensors"),
        UsageError,
        r"names '\.\./x.safetensors', .* not followed",
    ),
    "shard elsewhere": (place_all_tensors_in("/x.safetensors"), UsageError, "not followed"),
    "shard of another drive": (place_all_tensors_in("..\\x.safetensors"), UsageError, "not followed"),
    "pickled shard": (place_all_tensors_in("x.bin"), UsageError, r"names 'x.bin', which is not a .safetensors file"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_checkpoint_is_named_with_what_is_wrong(teacher, features, name):
    do, error, message = BROKEN[name]
    do(teacher)
    fails(features, teacher, error, message)


def test_a_missing_folder_is_named(teacher, features):
    fails(features, teacher / "typo", UsageError, re.escape(f"there is no folder {teacher / 'typo'}"))


def test_an_index_cannot_reach_outside_its_folder(teacher, features, reads):
    (teacher / "model-00001-of-00008.safetensors").rename(teacher.parent / "x.safetensors")
    place_all_tensors_in("../x.safetensors")(teacher)
    fails(features, teacher, UsageError, "not followed")
    assert not reads.tensors


def test_quantised_weights_are_refused(teacher, features, read_tensors, write_tensors):
    tensors = read_tensors(teacher)
    name = "language_model.encoder.block.0.layer.0.SelfAttention.q.weight"
    write_tensors(teacher, tensors | {name: tensors[name].to(torch.int8)})
    fails(features, teacher, ExpclipError, f"{name} holds torch.int8: quantised weights are not supported")


def test_what_can_be_known_from_the_index_is_said_before_anything_is_read(teacher, models, edit_json, reads):
    edit_json(teacher / "config.json", "vision_config", "num_hidden_layers", 3)
    with pytest.raises(ExpclipError, match="the weights lack"):
        models().query_tokens(str(teacher))
    assert not reads.tensors
