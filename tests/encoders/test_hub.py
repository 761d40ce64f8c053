"""A teacher and a CLIP of the hub, from its cache on this machine and without a network."""

import hashlib
import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from expclip.encoders import hub
from expclip.errors import ExpclipError, UsageError
from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError
from safetensors.torch import load_file

INDEX = "model.safetensors.index.json"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


pytestmark = pytest.mark.usefixtures("offline")


def needed_files(teacher: Path) -> list[Path]:
    holder = json.loads((teacher / INDEX).read_text())["weight_map"]
    shards = {shard for name, shard in holder.items() if not name.startswith("language_model.decoder.")}
    return [teacher / name for name in ("config.json", "tokenizer.json", INDEX, *shards)]


def test_only_the_shards_that_are_needed_must_be_cached(teacher, models, pixels, put):
    files = needed_files(teacher)
    assert len(files) < len(list(teacher.glob("model-*"))) + 3
    put("some/teacher", files)
    here, there = (models().llm(name, "related-1") for name in (str(teacher), "some/teacher"))
    e_q = there.parent.load("cpu")(pixels)
    np.testing.assert_array_equal(there.load("cpu")(e_q), here.load("cpu")(here.parent.load("cpu")(pixels)))
    assert there.digest == here.digest
    assert there.model == "some/teacher"


def test_large_files_are_known_by_their_names(teacher, models, put, monkeypatch):
    put("some/teacher", needed_files(teacher))
    hashed = []
    whole = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda file, kind: hashed.append(file.name) or whole(file, kind))
    models().llm("some/teacher", "related-1")
    assert [Path(name).name for name in hashed] == ["tokenizer.json"]


def test_a_cached_single_file_is_found_without_asking_the_hub_for_an_index(
    teacher, models, put, read_tensors, write_tensors
):
    write_tensors(teacher, read_tensors(teacher))
    put("some/teacher", [teacher / name for name in ("config.json", "tokenizer.json", "model.safetensors")])
    assert models().llm("some/teacher", "related-1").digest == models().llm(str(teacher), "related-1").digest


def fails(make, error: type[ExpclipError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        make()
    assert caught.type is error
    assert "\n" not in str(caught.value)


def test_without_a_cache_and_a_network_the_way_out_is_named(models, capfd):
    fails(
        lambda: models().llm("blip2-flan-t5-xxl", "related-1"),
        ExpclipError,
        r"Salesforce/blip2-flan-t5-xxl: config.json is not on this machine and could not be fetched .*offline mode.*"
        r"Run `hf download Salesforce/blip2-flan-t5-xxl --local-dir DIR` where there is a network, and name that",
    )
    fails(
        lambda: models().clip_image("ViT-L-14"),
        ExpclipError,
        "timm/vit_large_patch14_clip_224.openai: open_clip_model",
    )
    assert capfd.readouterr() == ("", "")


def test_a_shard_that_was_not_downloaded_is_named(teacher, models, put):
    snapshot = put("some/teacher", needed_files(teacher))
    (snapshot / "model-00002-of-00008.safetensors").unlink()
    fails(
        lambda: models().query_tokens("some/teacher"), ExpclipError, "model-00002-of-00008.safetensors is not on this"
    )


def test_what_the_hub_does_not_have_is_a_mistake_in_use(models, monkeypatch):
    class Answer:
        status_code, headers, request = 404, {}, None

    def refuse(error):
        def ask(*_, **__):
            raise error("Not Found", response=Answer())

        return ask

    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", refuse(RepositoryNotFoundError))
    fails(
        lambda: models().query_tokens("some/typo"),
        UsageError,
        "some/typo is not a folder here, and the hub has no such",
    )
    monkeypatch.setattr(
        "huggingface_hub.get_hf_file_metadata", lambda *_, **__: (_ for _ in ()).throw(EntryNotFoundError("404"))
    )
    fails(lambda: models().query_tokens("some/clip"), UsageError, "some/clip has no config.json on the hub")


def test_what_is_missing_is_fetched_from_the_commit_of_what_is_here(teacher, models, put, monkeypatch):
    files = needed_files(teacher)
    late = files.pop()
    snapshot = put("some/teacher", files)
    asked = []

    class Metadata:
        etag = hashlib.sha256(late.read_bytes()).hexdigest()

    def download(repository, name, revision):
        asked.append(revision)
        (snapshot / name).write_bytes((teacher / name).read_bytes())
        return str(snapshot / name)

    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", lambda url: asked.append(url) or Metadata)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    node = models().llm("some/teacher", "related-1")
    assert late.name not in {path.name for path in snapshot.iterdir()}  # its digest needs no download
    assert node.digest == models().llm(str(teacher), "related-1").digest
    node.load("cpu"), node.parent.load("cpu")
    assert asked and all(COMMIT in one for one in asked)


@pytest.mark.parametrize("file", ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"])
def test_a_tag_of_open_clip_is_the_file_that_is_cached(clip_folder, models, pixels, put, monkeypatch, file):
    content = json.loads((clip_folder / "open_clip_config.json").read_text())["model_cfg"]
    weights = clip_folder / "open_clip_model.safetensors"
    if file.endswith(".bin"):
        torch.save(load_file(weights), clip_folder / file)
    tag = {"hf_hub": "some/clip/", "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny", content)
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny", {"tag": tag})
    put("some/clip", [clip_folder / file])
    node = models("paper").clip_image("tiny@tag")
    assert node.spec["transform"]["mean_std"] == ([0.5, 0.5, 0.5], [0.25, 0.25, 0.25])
    assert node.spec["weights"] == {"sha256": hashlib.sha256((clip_folder / file).read_bytes()).hexdigest()}
    expected = models().clip_image(f"local-dir:{clip_folder}").load("cpu")(pixels)
    np.testing.assert_array_equal(models().clip_image("tiny@tag").load("cpu")(pixels), expected)


REFERENCES = {
    "a newline": f"{COMMIT}\n".encode(),
    "a newline of Windows": f"{COMMIT}\r\n".encode(),
    "spaces": f"  {COMMIT} \n\n".encode(),
    "none": None,
    "nothing": b"",
    "no text": bytes(range(128, 256)),
    "a way out": b"../../../elsewhere",
    "the root": b"/etc",
    "a hundred kilobytes": b"a" * 100_000,
}


@pytest.mark.parametrize("which", REFERENCES)
def test_files_that_are_there_are_found_whatever_the_reference_says(teacher, models, put, offline, which):
    put("some/teacher", needed_files(teacher))
    reference = offline / "models--some--teacher" / "refs" / "main"
    reference.unlink()
    if REFERENCES[which] is None:
        reference.parent.rmdir()
    else:
        reference.write_bytes(REFERENCES[which])
    assert models().llm("some/teacher", "related-1").digest == models().llm(str(teacher), "related-1").digest
    assert hub.commit("some/teacher") == COMMIT


def test_of_several_snapshots_without_a_reference_none_is_guessed(teacher, models, put, offline):
    snapshot = put("some/teacher", needed_files(teacher))
    (offline / "models--some--teacher" / "refs" / "main").unlink()
    (snapshot.parent / "another").mkdir()
    message = f"has 2 snapshots \\({COMMIT}, another\\) and no refs/main that says which .*write the name"
    fails(lambda: models().query_tokens("some/teacher"), ExpclipError, message)
    assert hub.commit("some/teacher") is None


def test_a_damaged_reference_does_not_lead_out_of_the_cache(teacher, put, offline):
    snapshot = put("some/teacher", [teacher / "config.json"])
    (snapshot.parent / "another").mkdir()
    (offline / "evil").mkdir()
    (offline / "evil" / "config.json").write_text("{}")
    for way in ("../../evil", "../../../hub/evil", str(offline / "evil"), ".."):
        (offline / "models--some--teacher" / "refs" / "main").write_text(way)
        assert hub.cached("some/teacher", "config.json") is None


def test_a_name_that_is_no_repository_is_not_looked_for(offline):
    for name in ("../x", "a/..", "a/" + "b" * 300, "a\0b", "", "a/b/c", "/"):
        assert hub.cached(name, "config.json") is None
