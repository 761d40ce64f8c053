"""The encoder digest changes with everything that can change a feature, and with nothing else."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from expclip.encoders.hashes import Hashes
from safetensors.torch import load_file, save_file

INDEX = "model.safetensors.index.json"


@pytest.fixture
def digests(models):
    """Digests of e_Q and e_G of the teacher in a folder."""

    def compute(folder: Path, protocol="released", dtype="float32", instruction="related-1") -> tuple[str, str]:
        llm = models(protocol, dtype).llm(str(folder), instruction)
        return llm.parent.digest, llm.digest

    return compute


@pytest.fixture
def clip_digests(models):
    """Digests of e_I and e_T of the CLIP in a folder."""

    def compute(folder: Path, protocol="released", dtype="float32") -> tuple[str, str]:
        found = models(protocol, dtype)
        return found.clip_image(f"local-dir:{folder}").digest, found.clip_text(f"local-dir:{folder}").digest

    return compute


def changed(before: tuple[str, str], after: tuple[str, str]) -> tuple[bool, bool]:
    return before[0] != after[0], before[1] != after[1]


def touch_weight(folder: Path, name: str) -> None:
    """Change the last bit or so of one value."""
    index = folder / INDEX
    holder = json.loads(index.read_text())["weight_map"][name] if index.is_file() else "open_clip_model.safetensors"
    tensors = load_file(folder / holder)
    tensors[name].view(-1)[0] += 1e-3
    save_file(tensors, folder / holder, {"format": "pt"})


BOTH, ONLY_E_G, NEITHER = (True, True), (False, True), (False, False)


@pytest.mark.parametrize(
    ("keys_and_value", "expected"),
    [
        (("vision_config", "hidden_act", "relu"), BOTH),
        (("vision_config", "layer_norm_eps", 1e-5), BOTH),
        (("vision_config", "num_attention_heads", 2), BOTH),
        (("qformer_config", "hidden_act", "relu"), BOTH),
        (("qformer_config", "layer_norm_eps", 1e-5), BOTH),
        (("qformer_config", "num_attention_heads", 2), BOTH),
        (("text_config", "dense_act_fn", "gelu"), ONLY_E_G),
        (("text_config", "layer_norm_epsilon", 1e-5), ONLY_E_G),
        (("text_config", "relative_attention_max_distance", 64), ONLY_E_G),
        (("text_config", "num_decoder_layers", 7), NEITHER),
        (("text_config", "dropout_rate", 0.3), NEITHER),
        (("text_config", "_name_or_path", "somewhere"), NEITHER),
        (("qformer_config", "hidden_dropout_prob", 0.3), NEITHER),
        (("vision_config", "initializer_range", 1.0), NEITHER),
        (("transformers_version", "4.30.0"), NEITHER),
    ],
    ids=lambda value: ".".join(map(str, value)),
)
def test_of_the_configuration_only_what_changes_values_counts(teacher, digests, edit_json, keys_and_value, expected):
    before = digests(teacher)
    edit_json(teacher / "config.json", *keys_and_value)
    assert changed(before, digests(teacher)) == expected


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        ("vision_model.post_layernorm.bias", BOTH),
        ("language_model.encoder.block.0.layer.1.DenseReluDense.wo.weight", ONLY_E_G),
        ("language_model.decoder.block.1.layer.2.DenseReluDense.wo.weight", NEITHER),
    ],
)
def test_of_the_weights_only_the_files_that_are_read_count(teacher, digests, tensor, expected):
    before = digests(teacher)
    touch_weight(teacher, tensor)
    assert changed(before, digests(teacher)) == expected


def test_protocol_dtype_instruction_and_tokenizer_count(teacher, digests):
    before = digests(teacher)
    assert changed(before, digests(teacher, protocol="paper")) == BOTH
    assert changed(before, digests(teacher, dtype="float16")) == BOTH
    assert changed(before, digests(teacher, instruction="related-2")) == ONLY_E_G
    content = json.loads((teacher / "tokenizer.json").read_text())
    content["added_tokens"].append(content["added_tokens"][0] | {"id": 491, "content": "<face>"})
    (teacher / "tokenizer.json").write_text(json.dumps(content))
    assert changed(before, digests(teacher)) == ONLY_E_G


def test_where_the_files_lie_and_what_they_are_called_does_not_count(teacher, digests, tmp_path):
    before = digests(teacher)
    moved = Path(shutil.move(teacher, tmp_path / "elsewhere"))
    index = json.loads((moved / INDEX).read_text())
    for file in moved.glob("model-*.safetensors"):
        file.rename(moved / f"renamed-{file.name}")
    index["weight_map"] = {name: f"renamed-{file}" for name, file in index["weight_map"].items()}
    (moved / INDEX).write_text(json.dumps(index))
    assert changed(before, digests(moved)) == NEITHER


def test_the_towers_of_a_clip_share_its_architecture_and_weights_and_nothing_else(
    clip_folder, clip_digests, edit_json
):
    before = clip_digests(clip_folder)
    assert changed(before, clip_digests(clip_folder, protocol="paper")) == (True, False)
    assert changed(before, clip_digests(clip_folder, dtype="bfloat16")) == BOTH
    config = clip_folder / "open_clip_config.json"
    edit_json(config, "model_cfg", "vision_cfg", "head_width", 32)
    assert changed(before, after := clip_digests(clip_folder)) == BOTH
    edit_json(config, "model_cfg", "text_cfg", "heads", 2)
    assert changed(after, after := clip_digests(clip_folder)) == BOTH
    edit_json(config, "model_cfg", "quick_gelu", True)
    assert changed(after, after := clip_digests(clip_folder)) == BOTH
    (clip_folder / "special_tokens_map.json").write_text("{}")
    assert changed(after, after := clip_digests(clip_folder)) == ONLY_E_G
    touch_weight(clip_folder, "logit_scale")
    assert changed(after, clip_digests(clip_folder)) == BOTH


def test_a_clips_own_constants_count_only_where_they_are_used(clip_folder, clip_digests, edit_json):
    before = [clip_digests(clip_folder, protocol) for protocol in ("released", "paper")]
    edit_json(clip_folder / "open_clip_config.json", "preprocess_cfg", {"mean": [0.5, 0.5, 0.5]})
    after = [clip_digests(clip_folder, protocol) for protocol in ("released", "paper")]
    assert changed(before[0], after[0]) == NEITHER
    assert changed(before[1], after[1]) == (True, False)


def test_a_renamed_file_of_weights_is_the_same_encoder(clip_folder, models, tmp_path):
    first = clip_folder / "open_clip_model.safetensors"
    second = tmp_path / "renamed.safetensors"
    shutil.copy(first, second)
    assert len({models().clip_image(f"ViT-B-32@{path}").digest for path in (first, second)}) == 1
    touch_weight(clip_folder, "logit_scale")
    assert len({models().clip_image(f"ViT-B-32@{path}").digest for path in (first, second)}) == 2


class TestHashes:
    """Digests of files, remembered by path, size and modification time."""

    @pytest.fixture
    def counted(self, monkeypatch):
        calls = []
        whole = hashlib.file_digest
        monkeypatch.setattr(hashlib, "file_digest", lambda *given: calls.append(given) or whole(*given))
        return calls

    @pytest.mark.parametrize("in_a_file", [True, False])
    def test_a_file_is_read_once(self, tmp_path, counted, in_a_file):
        path = tmp_path / "w"
        path.write_bytes(b"weights")
        hashes = Hashes(tmp_path / "memory.json" if in_a_file else None)
        assert hashes.sha256(path) == hashes.sha256(path)
        Hashes(tmp_path / "memory.json").sha256(path)
        assert len(counted) == (1 if in_a_file else 2)

    def test_a_file_that_changed_is_read_again(self, tmp_path, counted):
        path = tmp_path / "w"
        hashes = Hashes(tmp_path / "memory.json")
        digests = set()
        for content in (b"weights", b"other weights"):
            path.write_bytes(content)
            digests.add(hashes.sha256(path))
        assert len(digests) == len(counted) == 2

    def test_a_memory_that_is_damaged_or_cannot_be_written_costs_only_time(self, tmp_path):
        path = tmp_path / "w"
        path.write_bytes(b"weights")
        (tmp_path / "memory.json").write_text("[half")
        expected = Hashes().sha256(path)
        assert Hashes(tmp_path / "memory.json").sha256(path) == expected
        assert Hashes(path / "memory.json").sha256(path) == expected

    def test_only_a_blob_of_the_hubs_cache_is_taken_by_its_name(self, tmp_path):
        name = "0" * 64
        for folder in ("blobs", "store"):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / name).write_bytes(b"weights")
            (tmp_path / f"link to {folder}").symlink_to(tmp_path / folder / name)
        assert Hashes().sha256(tmp_path / "link to blobs") == name
        assert Hashes().sha256(tmp_path / "link to store") == Hashes().sha256(tmp_path / "store" / name) != name


def test_a_library_is_asked_once_for_each_version_and_description(tmp_path, monkeypatch):
    asked = []

    def fact(width: int) -> dict:
        hashes = Hashes(tmp_path / "memory.json")
        return hashes.fact("torch", {"width": width}, lambda: asked.append(width) or {"twice": 2 * width, "at": 1e-5})

    assert [fact(3) for _ in range(3)] == [{"twice": 6, "at": 1e-5}] * 3
    assert fact(4)["twice"] == 8
    assert asked == [3, 4]
    monkeypatch.setattr("expclip.encoders.hashes.version", lambda library: "99")
    assert fact(3)["twice"] == 6
    assert asked == [3, 4, 3]


@pytest.mark.parametrize("damage", ["{", "[1]", "null", 5])
def test_a_fact_that_was_damaged_is_asked_for_again(tmp_path, damage):
    memory = tmp_path / "memory.json"
    Hashes(memory).fact("torch", {"width": 3}, lambda: {"twice": 6})
    (name,) = json.loads(memory.read_text(encoding="utf-8")).keys() - {"content_digest"}
    memory.write_text(json.dumps({name: damage}), encoding="utf-8")
    assert Hashes(memory).fact("torch", {"width": 3}, lambda: {"twice": 6}) == {"twice": 6}
