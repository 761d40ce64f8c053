"""A model of a stranger's runs no code, asks no network, and whatever its files say is an embedding or one line."""

import base64
import errno
import json
import math
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import open_clip
import pytest
import transformers
from expclip.encoders.blip2 import teacher as blip2
from expclip.encoders.clip import clip_fields, towers
from expclip.encoders.hashes import Hashes
from expclip.encoders.tokenizer_steps import refuse_endless_steps
from expclip.errors import ExpclipError, UsageError
from huggingface_hub import constants
from safetensors.torch import save_file

CONFIG, TOKENIZER = "open_clip_config.json", "tokenizer_config.json"
DEEP = b'{"model_cfg": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.fixture
def canary(tmp_path) -> Iterator[Path]:
    """A file that code of the stranger's would leave behind; there is none at the end."""
    path = tmp_path / "canary"
    yield path
    assert not path.exists()


@pytest.fixture
def connections(monkeypatch) -> list[object]:
    """What was tried to be reached; looking up a name counts."""
    tried: list[object] = []

    def refuse(*address: object, **_: object) -> None:
        tried.append(address)
        raise OSError("no network here")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)
    return tried


def one_line(make, kind: type[ExpclipError] = ExpclipError, message: str = "") -> str:
    """The message that something ends with."""
    with pytest.raises(kind, match=message) as caught:
        make()
    text = str(caught.value)
    assert "\n" not in text and len(text) < 1000, text
    return text


def encode(models, folder: Path) -> np.ndarray:
    return models().clip_text(f"local-dir:{folder}").load("cpu")(["a face"])


def see(models, folder: Path, pixels: np.ndarray) -> np.ndarray:
    return models().clip_image(f"local-dir:{folder}").load("cpu")(pixels)


def with_code(folder: Path, canary: Path) -> None:
    """Python beside a model, under every name by which a configuration may ask for it."""
    code = f"from pathlib import Path\nPath({str(canary)!r}).touch()\n"
    code += "from transformers import PreTrainedTokenizerFast as T\n"
    for name in ("code.py", "tokenizer.py", "__init__.py", "hubconf.py", "sitecustomize.py"):
        (folder / name).write_text(code)


def asks_for_code(content: dict) -> dict:
    return content | {"auto_map": {"AutoTokenizer": ["code.T", "code.T"]}, "tokenizer_class": "T"}


def test_a_tokenizer_that_asks_for_code_is_refused_and_runs_none(clip_folder, models, edit_json, canary, monkeypatch):
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    with_code(clip_folder, canary)
    path = clip_folder / TOKENIZER
    path.write_text(json.dumps(asks_for_code(json.loads(path.read_text()))))
    one_line(lambda: encode(models, clip_folder), UsageError, "asks for Python code of the folder .*never run")
    edit_json(clip_folder / CONFIG, "model_cfg", "text_cfg", "tokenizer_kwargs", {"trust_remote_code": True})
    one_line(lambda: encode(models, clip_folder), UsageError, "tokenizer_kwargs is .*trust_remote_code")


def test_code_that_config_json_asks_for_is_not_run(clip_folder, models, canary):
    with_code(clip_folder, canary)
    (clip_folder / "config.json").write_text(json.dumps({"auto_map": {"AutoConfig": "code.T"}, "model_type": "mine"}))
    expected = encode(models, clip_folder)
    (clip_folder / "config.json").unlink()
    np.testing.assert_array_equal(encode(models, clip_folder), expected)


@pytest.mark.parametrize(
    "key",
    [
        "tokenizer_file",
        "vocab_file",
        "merges_file",
        "gguf_file",
        "special_tokens_map_file",
        "chat_template",
        "name_or_path",
    ],
)
def test_a_path_in_a_tokenizers_configuration_is_never_followed(clip_folder, models, edit_json, tmp_path, key):
    expected = encode(models, clip_folder)
    secret = tmp_path / "secret"
    secret.write_text('{"happiness": 0}')
    edit_json(clip_folder / TOKENIZER, key, str(secret))
    np.testing.assert_array_equal(encode(models, clip_folder), expected)
    edit_json(clip_folder / TOKENIZER, key, "../../../etc/passwd")
    np.testing.assert_array_equal(encode(models, clip_folder), expected)


@pytest.mark.parametrize("key", ["vocab", "merges", "tokenizer_object", "slow_tokenizer", "anything"])
def test_other_keys_with_texts_are_refused(clip_folder, models, edit_json, key):
    edit_json(clip_folder / TOKENIZER, key, "/etc/passwd")
    one_line(lambda: encode(models, clip_folder), UsageError, f"{key} is '/etc/passwd'")


@pytest.mark.parametrize(
    "name", ["AutoModel", "pipeline", "Trainer", "NoSuchTokenizer", "__name__", "os.system", 3, ["x"]]
)
def test_only_tokenizers_of_the_library_are_made(clip_folder, models, edit_json, name):
    edit_json(clip_folder / TOKENIZER, "tokenizer_class", name)
    one_line(lambda: encode(models, clip_folder), UsageError, "tokenizer_class is .*a tokenizer of transformers")


BROKEN = {
    "tokenizer.json": [b"", b"[]", b"{}", b"\xff\xfe", b'{"model": 1}', DEEP, b'{"version": "1.0"}', b"null"],
    TOKENIZER: [b"", b"[]", b"\xff\xfe", b'{"a": 1, "a": 2}', b'{"a": NaN}', b'{"a": ' + b"9" * 6000 + b"}", DEEP],
    "special_tokens_map.json": [b"[]", b'{"eos_token": 1}', b'{"x": "y"}', b'{"eos_token": {"x": 1}}', DEEP],
    "added_tokens.json": [b"[]", b"{", DEEP],
    "vocab.json": [b"[]", b"no JSON", DEEP],
    "config.json": [b"[]", b"{", DEEP],
}


DOUBLE = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
ENDLESS = {
    "letters that double": {"type": "Sequence", "normalizers": [DOUBLE] * 34},
    "one very long letter": DOUBLE | {"content": "a" * 5000},
    "something between all letters": DOUBLE | {"pattern": {"Regex": ""}, "content": "a" * 5000},
    "sequences in sequences": {
        "type": "Sequence",
        "normalizers": [{"type": "Sequence", "normalizers": [DOUBLE] * 5}] * 4,
    },
    "a thousand steps": {"type": "Sequence", "normalizers": [{"type": "Lowercase"}] * 1000},
    "a very long pattern": {"type": "Replace", "pattern": {"Regex": "a|" * 9000 + "b"}, "content": "b"},
    "bytes as letters": {"type": "Sequence", "normalizers": [{"type": "ByteLevel"}] * 16},
    "ligatures": {"type": "Sequence", "normalizers": [DOUBLE | {"content": "\ufdfa"}, {"type": "NFKD"}] * 8},
    "small letters with dots": {
        "type": "Sequence",
        "normalizers": [DOUBLE | {"pattern": {"String": "i"}, "content": "\u0130"}, {"type": "Lowercase"}] * 16,
    },
    "spaces between signs": {
        "type": "Sequence",
        "normalizers": [DOUBLE | {"pattern": {"String": " "}, "content": "\u4e2d"}, {"type": "BertNormalizer"}] * 8,
    },
    "a table of long spellings": {
        "type": "Precompiled",
        "precompiled_charsmap": base64.b64encode(bytes(4) + b"short\0" + b"a" * 20_000 + b"\0").decode(),
    },
}


@pytest.mark.parametrize("which", ENDLESS)
def test_steps_of_a_tokenizer_that_make_gigabytes_of_a_text_are_refused(clip_folder, models, edit_json, which):
    edit_json(clip_folder / "tokenizer.json", "normalizer", ENDLESS[which])
    one_line(lambda: encode(models, clip_folder), UsageError, "tokenizer.json: ")


TWICE = [{"Sequence": {"id": "A", "type_id": 0}}] * 2
LONG = {"id": "a", "ids": [0] * 20_000, "tokens": ["a"] * 20_000}
TEMPLATE = {"type": "TemplateProcessing", "pair": [], "special_tokens": {}}


@pytest.mark.parametrize(
    ("section", "steps"),
    [
        ("pre_tokenizer", {"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}] * 16}),
        ("post_processor", {"type": "Sequence", "processors": [TEMPLATE | {"single": TWICE}] * 16}),
        (
            "post_processor",
            TEMPLATE
            | {"single": [*TWICE[:1], {"SpecialToken": {"id": "a", "type_id": 0}}], "special_tokens": {"a": LONG}},
        ),
    ],
)
def test_every_section_of_a_tokenizer_is_bounded(clip_folder, models, edit_json, section, steps):
    edit_json(clip_folder / "tokenizer.json", section, steps)
    one_line(lambda: encode(models, clip_folder), UsageError, "tokenizer.json: its steps make a text more than")


def test_a_tokenizer_that_drops_by_chance_is_refused(clip_folder, teacher, models, edit_json):
    """Each text would have other tokens whenever it is encoded."""
    for folder, load in (
        (clip_folder, lambda: encode(models, clip_folder)),
        (teacher, lambda: models().llm(str(teacher), "a question about a face").load("cpu")),
    ):
        edit_json(folder / "tokenizer.json", "model", "dropout", 0.5)
        one_line(load, UsageError, "tokenizer.json: .*by chance")
        edit_json(folder / "tokenizer.json", "model", "dropout", 0.0)
        load()


@pytest.mark.parametrize(
    "normalizer",
    [
        {"type": "Sequence", "normalizers": [{"type": "NFC"}, DOUBLE, {"type": "Lowercase"}]},
        {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, DOUBLE | {"content": "b"}]},
        {"type": "NFKC"},
        None,
    ],
)
def test_ordinary_steps_of_a_tokenizer_are_taken(clip_folder, models, edit_json, normalizer):
    edit_json(clip_folder / "tokenizer.json", "normalizer", normalizer)
    assert np.isfinite(encode(models, clip_folder)).all()


@pytest.mark.parametrize(
    "kind", ["Albert", "Bert", "CLIP", "DebertaV2", "Gemma", "Llama", "Nllb", "Roberta", "T5", "XLMRoberta", "XLNet"]
)
def test_the_steps_of_common_tokenizers_are_taken(tmp_path, kind):
    getattr(transformers, f"{kind}Tokenizer")().backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    refuse_endless_steps(tmp_path / "tokenizer.json")


def test_the_steps_of_a_teachers_tokenizer_are_looked_at_too(teacher, models, edit_json):
    edit_json(teacher / "tokenizer.json", "normalizer", ENDLESS["letters that double"])
    one_line(
        lambda: models().llm(str(teacher), "a question about a face").load("cpu"), UsageError, "tokenizer.json: "
    )


@pytest.mark.parametrize(("name", "content"), [(name, one) for name, every in BROKEN.items() for one in every])
def test_a_broken_file_of_a_tokenizer_is_one_line_or_without_effect(clip_folder, models, name, content):
    expected = encode(models, clip_folder)
    (clip_folder / name).write_bytes(content)
    try:
        found = encode(models, clip_folder)
    except ExpclipError as error:
        assert "\n" not in str(error) and len(str(error)) < 1000
    else:
        np.testing.assert_array_equal(found, expected)


def test_a_named_pipe_is_no_file(clip_folder, teacher, models):
    for folder, name, do in [
        (clip_folder, TOKENIZER, lambda: encode(models, clip_folder)),
        (clip_folder, CONFIG, lambda: encode(models, clip_folder)),
        (clip_folder, "open_clip_model.safetensors", lambda: encode(models, clip_folder)),
        (teacher, "config.json", lambda: models().llm(str(teacher), "empty")),
        (teacher, "tokenizer.json", lambda: models().llm(str(teacher), "empty")),
    ]:
        content = (folder / name).read_bytes()
        (folder / name).unlink()
        os.mkfifo(folder / name)
        one_line(do)
        (folder / name).unlink()
        (folder / name).write_bytes(content)


LOCAL = {
    "a text tower of the hub": (
        "text_cfg",
        "hf_model_name",
        "roberta-base",
        "its text tower is the hub's 'roberta-base'",
    ),
    "a text tower elsewhere": ("text_cfg", "hf_model_name", "../../evil", "hf_model_name is '../../evil'"),
    "an image tower of the hub": ("vision_cfg", "timm_model_name", "hf-hub:a/b", "timm_model_name is 'hf-hub:a/b'"),
    "an image tower elsewhere": (
        "vision_cfg",
        "timm_model_name",
        "local-dir:/x",
        "timm_model_name is 'local-dir:/x'",
    ),
}


@pytest.mark.parametrize("which", LOCAL)
def test_a_folder_that_names_towers_elsewhere_reaches_nothing(clip_folder, models, edit_json, connections, which):
    *keys_and_value, message = LOCAL[which]
    edit_json(clip_folder / CONFIG, "model_cfg", *keys_and_value)
    one_line(lambda: encode(models, clip_folder), ExpclipError, message)
    assert connections == []


def test_models_of_this_machine_use_no_network(
    clip_folder, teacher, models, edit_json, pixels, connections, tmp_path
):
    edit_json(clip_folder / CONFIG, "model_cfg", "text_cfg", "hf_tokenizer_name", "some/where-else")
    edit_json(clip_folder / TOKENIZER, "name_or_path", "some/where-else")
    see(models, clip_folder, pixels)
    encode(models, clip_folder)
    llm = models().llm(str(teacher), "related-1")
    llm.load("cpu")(llm.parent.load("cpu")(pixels))
    assert connections == []


def test_weights_in_a_file_use_no_network_for_their_text_tower_and_tokenizer(
    models, connections, clip_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    config = json.loads((clip_folder / CONFIG).read_text())["model_cfg"]
    config["text_cfg"]["hf_tokenizer_name"] = "some/where-else"
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny", config)
    shutil.copy(clip_folder / "open_clip_model.safetensors", tmp_path / "w.safetensors")
    asked = {
        "xlm-roberta-base-ViT-B-32": "text tower is the hub's 'xlm-roberta-base'",
        "tiny": "open_clip finds no tokenizer for it",
    }
    for architecture, message in asked.items():
        one_line(
            lambda name=architecture: models().clip_text(f"{name}@{tmp_path}/w.safetensors").load("cpu"),
            ExpclipError,
            message,
        )
    assert connections == []


def test_a_text_tower_of_the_hub_is_built_from_its_cached_configuration_alone(
    clip_folder, models, edit_json, put, tmp_path, canary, connections
):
    described = {
        "model_type": "roberta",
        "vocab_size": 512,
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 80,
        "pad_token_id": 1,
    }
    hostile = {"auto_map": {"AutoModel": "code.T", "AutoConfig": "code.T"}, "attn_implementation": "evil/kernel"}
    (tmp_path / "config.json").write_text(json.dumps(described | hostile))
    snapshot = put("some/roberta", [tmp_path / "config.json"])
    with_code(snapshot, canary)
    edit_json(clip_folder / CONFIG, "model_cfg", "text_cfg", "hf_model_name", "some/roberta")
    one_line(lambda: encode(models, clip_folder), ExpclipError, "does not hold the weights of this model")
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "config.json").write_text(json.dumps(described))
    config = json.loads((clip_folder / CONFIG).read_text())["model_cfg"]
    config["text_cfg"] |= {"hf_model_name": str(tmp_path / "text"), "hf_model_pretrained": False}
    save_file(open_clip.CustomTextCLIP(**config).state_dict(), clip_folder / "open_clip_model.safetensors")
    assert encode(models, clip_folder).shape == (1, 64)
    assert connections == []


def test_a_configuration_is_bounded_by_its_weights_before_it_is_built(clip_folder, models, edit_json):
    for key in ("vision_cfg", "text_cfg"):
        for inner, value in {"width": 65_536, "layers": 256}.items():
            edit_json(clip_folder / CONFIG, "model_cfg", key, inner, value)
    said = one_line(lambda: encode(models, clip_folder), ExpclipError, "would have .* parameters, and .* bytes")
    assert "26," in said  # trillions of parameters


ODD = [
    None,
    True,
    -1,
    0,
    1,
    3,
    10**7,
    10**30,
    -0.5,
    1e308,
    math.nan,
    math.inf,
    "",
    "x",
    "hf-hub:a/b",
    "/etc/passwd",
    [],
    {},
]
ODD += [[1, 2], [[[[]]]], {"eps": "x"}, {"trust_remote_code": True}, {"a": {"b": {}}}, "x" * 5000]


def keys_of_clip() -> list[tuple[str, ...]]:
    parts = {"vision_cfg": clip_fields._VISION, "text_cfg": clip_fields._TEXT}
    inner = [(part, key) for part, table in parts.items() for key in (*table, "no_such_key")]
    return [*inner, *((key,) for key in (*clip_fields._MODEL, *parts, "no_such_key"))]


@pytest.mark.parametrize("keys", keys_of_clip(), ids=".".join)
def test_whatever_a_clip_says_is_an_embedding_or_one_line(clip_folder, models, edit_json, pixels, keys):
    whole = (clip_folder / CONFIG).read_text()
    for value in ODD:
        edit_json(clip_folder / CONFIG, "model_cfg", *keys, value)
        try:
            node = models().clip_image(f"local-dir:{clip_folder}")
            size = node.squash.size
            assert node.load("cpu")(np.zeros((2, size, size, 3), dtype=np.uint8)).shape == (2, 64)
            assert encode(models, clip_folder).shape == (1, 64)
        except ExpclipError as error:
            assert "\n" not in str(error) and len(str(error)) < 1000
        (clip_folder / CONFIG).write_text(whole)


@pytest.mark.parametrize(
    "key", ["size", "mode", "mean", "std", "interpolation", "resize_mode", "fill_color", "other"]
)
def test_whatever_a_preprocessing_says_is_taken_or_one_line(clip_folder, models, edit_json, pixels, key):
    for value in (*ODD, [0.5, 0.5, 0.5], [0.5, "x", 0.5], 0.5):
        edit_json(clip_folder / CONFIG, "preprocess_cfg", {key: value})
        try:
            node = models("paper").clip_image(f"local-dir:{clip_folder}")
        except ExpclipError as error:
            assert CONFIG in str(error) and "\n" not in str(error)
        else:
            mean, std = node.spec["transform"]["mean_std"]
            assert len(mean) == len(std) == 3 and all(map(math.isfinite, (*mean, *std)))


def test_one_number_for_a_mean_stands_for_every_channel(clip_folder, models, edit_json):
    edit_json(clip_folder / CONFIG, "preprocess_cfg", {"mean": 0.5, "std": 0.25})
    node = models("paper").clip_image(f"local-dir:{clip_folder}")
    assert node.spec["transform"]["mean_std"] == ([0.5] * 3, [0.25] * 3)


def keys_of_teacher() -> list[tuple[str, ...]]:
    parts = {"vision_config": blip2._VISION, "qformer_config": blip2._QFORMER, "text_config": blip2._T5_READ}
    inner = [(part, key) for part, table in parts.items() for key in table]
    return [
        *inner,
        ("num_query_tokens",),
        *((part,) for part in parts),
        ("text_config", "model_type"),
        ("model_type",),
    ]


@pytest.mark.parametrize("part", ["vision_config", "qformer_config", "text_config"])
@pytest.mark.parametrize(
    "key", ["num_labels", "id2label", "dtype", "attn_implementation", "auto_map", "quantization_config"]
)
def test_what_no_part_of_a_teacher_is_built_from_does_not_reach_the_library(teacher, models, edit_json, part, key):
    expected = models().llm(str(teacher), "related-1").digest
    for value in (10**9, "evil/kernel", {"AutoModel": "code.T"}):
        edit_json(teacher / "config.json", part, key, value)
        assert models().llm(str(teacher), "related-1").digest == expected


@pytest.mark.parametrize("keys", keys_of_teacher(), ids=".".join)
def test_whatever_a_teacher_says_is_an_embedding_or_one_line(teacher, models, edit_json, keys):
    whole = (teacher / "config.json").read_text()
    for value in ODD:
        edit_json(teacher / "config.json", *keys, value)
        try:
            node = models().llm(str(teacher), "related-1")
            size = node.parent.squash.size
            e_q = node.parent.load("cpu")(np.zeros((1, size, size, 3), dtype=np.uint8))
            assert node.load("cpu")(e_q).shape == (1, 96)
        except ExpclipError as error:
            assert "\n" not in str(error) and len(str(error)) < 1000
        (teacher / "config.json").write_text(whole)


@pytest.mark.parametrize(
    "content",
    [
        b'{"a": 1, "a": 2}',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": ' + b"9" * 6000 + b"}",
        DEEP,
        b"\x00",
        b"{} {}",
    ],
)
def test_what_is_no_honest_json_is_refused(teacher, clip_folder, models, content):
    (clip_folder / CONFIG).write_bytes(content)
    one_line(lambda: models().clip_image(f"local-dir:{clip_folder}"), ExpclipError, f"{CONFIG}: not JSON")
    (teacher / "model.safetensors.index.json").write_bytes(content)
    one_line(lambda: models().query_tokens(str(teacher)), ExpclipError, "index.json: not JSON")
    (teacher / "config.json").write_bytes(content)
    one_line(lambda: blip2.find(str(teacher), Hashes()), ExpclipError, "config.json: not JSON")


def test_a_configuration_of_a_gigabyte_is_not_read(clip_folder, models):
    os.truncate(clip_folder / CONFIG, 1 << 30)
    one_line(
        lambda: models().clip_image(f"local-dir:{clip_folder}"), ExpclipError, "it is longer than 67,108,864 bytes"
    )
    (clip_folder / CONFIG).unlink()


def test_only_a_strangers_model_is_tried_before_it_encodes(clip_folder, models, monkeypatch):
    tried = []
    encode_rows = towers.ImageTower.__call__
    monkeypatch.setattr(
        towers.ImageTower, "__call__", lambda self, pixels: tried.append(len(pixels)) or encode_rows(self, pixels)
    )
    models().clip_image("miniature").load("cpu")
    models().clip_image("ViT-B-32@random").load("cpu")
    assert tried == []
    models().clip_image(f"local-dir:{clip_folder}").load("cpu")
    assert tried == [1]


def test_a_folder_shown_to_the_libraries_is_gone_afterwards(clip_folder, models, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    encode(models, clip_folder)
    assert list((tmp_path / "scratch").iterdir()) == []
    shutil.rmtree(tmp_path / "scratch")


def test_a_temporary_folder_that_cannot_be_removed_costs_nothing(clip_folder, models, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    node = models().clip_text(f"local-dir:{clip_folder}")
    monkeypatch.setattr("shutil.os.unlink", refuse)
    assert node.load("cpu")(["a face"]).shape[0] == 1
