"""CLIPs by the names that people type, and those of the hub: with their configurations and tokenizers."""

import shutil
import socket
from pathlib import Path

import numpy as np
import open_clip
import pytest
from expclip.cache.keys import digest
from expclip.encoders import hub
from expclip.encoders.clip.found import clip_files
from expclip.encoders.families import usual_protocol
from expclip.encoders.names import clip_name
from expclip.errors import ExpclipError, UsageError
from huggingface_hub import constants
from huggingface_hub.errors import EntryNotFoundError

TEXTS = ["a photo of a face", "happiness"]


@pytest.fixture
def no_network(monkeypatch) -> list[object]:
    """What was tried to be reached."""
    tried: list[object] = []

    def refuse(*address: object, **_: object) -> None:
        tried.append(address)
        raise OSError("no network here")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return tried


@pytest.fixture
def published(clip_folder, offline, monkeypatch) -> list[str]:
    """A hub that has the files of a CLIP as some/clip, and its tokenizer as some/words; lists what is downloaded."""
    downloaded: list[str] = []
    has = {"some/clip": lambda name: "tokenizer" not in name, "some/words": lambda name: "tokenizer" in name}

    class Metadata:
        etag = "e"

    def metadata(url):
        repository, name = "/".join(url.split("/")[-5:-3]), url.rpartition("/")[2]
        if not has[repository](name) or not (clip_folder / name).is_file():
            raise EntryNotFoundError("404")
        return Metadata

    def download(repository, name, revision):
        place = offline / repository / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip_folder / name, place)
        downloaded.append(f"{repository}/{name}")
        return str(place)

    def cached(repository, name):
        place = offline / repository / name
        return place if place.is_file() else None

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", metadata)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    monkeypatch.setattr(hub, "cached", cached)
    return downloaded


@pytest.fixture
def unplug(monkeypatch):
    """From now on the hub cannot be reached."""

    def do() -> None:
        def unreachable(*_: object, **__: object) -> None:
            raise OSError("no network here")

        monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", unreachable)
        monkeypatch.setattr("huggingface_hub.hf_hub_download", unreachable)

    return do


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("vit-b-32", "ViT-B-32"),
        ("VIT-L/14", "ViT-L-14"),
        ("ViT-L/14@336px", "ViT-L-14-336-quickgelu@openai"),
        ("openai/clip-vit-base-patch32", "ViT-B-32"),
        ("hf-hub:openai/clip-vit-large-patch14", "ViT-L-14"),
        ("vit-b-32@OpenAI", "ViT-B-32"),
        ("vit-b-16-siglip@WebLI", "ViT-B-16-SigLIP@webli"),
        ("Miniature", "miniature"),
        ("HF-HUB:Some/Clip", "hf-hub:Some/Clip"),
        ("Some/Clip", "hf-hub:Some/Clip"),
    ],
)
def test_names_are_understood_in_any_case_and_as_other_libraries_spell_them(typed, meant):
    found, expected = clip_name(typed), clip_name(meant)
    assert (found.canonical, found.architecture, found.is_hub) == (
        expected.canonical,
        expected.architecture,
        expected.is_hub,
    )
    assert found.source.lower() == expected.source.lower()


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("siglip", "did you mean ViT-B-16-SigLIP, .*name the weights too"),
        ("mobileclip2", "did you mean MobileCLIP2-"),
        ("ViT-B32", "did you mean ViT-B-32"),
        ("minature", "did you mean miniature"),
        ("vit-b-16-siglip", "'vit-b-16-siglip': name the weights too"),
        ("farl-b16", "on no hub: download them from https://.*`expclip weights convert farl FILE`"),
    ],
)
def test_what_is_no_whole_name_is_answered_with_names(typed, answer):
    with pytest.raises(UsageError, match=answer):
        clip_name(typed)


def test_a_folder_without_its_prefix_is_not_taken_for_a_repository(tmp_path, monkeypatch):
    (tmp_path / "some/clip").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="some/clip is a folder here: write local-dir:some/clip"):
        clip_name("some/clip")


@pytest.mark.parametrize("place", ["é/x", "-a/b", "a..b/c", "a--b/c", "a/x.git", "a/b/c", "../x", "", "a b/c"])
def test_what_no_repository_is_called_is_answered(place):
    with pytest.raises(UsageError, match="write hf-hub: and OWNER/REPOSITORY"):
        clip_name(f"hf-hub:{place}")


@pytest.mark.parametrize(
    "text", ["ViT-B-32@{}.pt", "local-dir:{}", "flava@{}", "farl-b16@{}.pt", "{}/x", "hf-hub:a/{}"]
)
def test_a_name_that_no_file_can_have_is_one_line(text):
    with pytest.raises(UsageError, match=r"no file has a name of more than 255 bytes"):
        usual_protocol("clip", text.format("x" * 300))
    with pytest.raises(UsageError, match=r"no file has a name of more than 255 bytes"):
        usual_protocol("teacher", "x" * 300)


def test_the_weights_of_farl_are_a_file_and_nobodys_tag(tmp_path):
    for source in ("openai", "metaclip_400m"):
        with pytest.raises(UsageError, match=f"farl-b16@{source}: write the file that `weights convert` made"):
            clip_name(f"farl-b16@{source}")
    assert clip_name("farl-b16@random").source == "random"


def test_weights_of_farl_have_its_name_and_the_architecture_of_clip():
    found = clip_name("FaRL-B16@weights/ep16.safetensors")
    assert (found.canonical, found.architecture) == ("farl-b16@ep16.safetensors", "ViT-B-16-quickgelu")
    assert clip_name(found.typed).architecture == found.architecture


def test_a_repository_is_used_with_its_configuration_and_its_tokenizer_without_a_network(
    put, clip_folder, models, pixels, no_network
):
    put("some/clip", [one for one in clip_folder.iterdir() if one.is_file() and "tokenizer" not in one.name])
    put("tiny", sorted(clip_folder.glob("*tokenizer*")))
    for kind, inputs in (("clip_image", pixels), ("clip_text", TEXTS)):
        of_hub, of_folder = (
            getattr(models(), kind)(name) for name in ("hf-hub:some/clip", f"local-dir:{clip_folder}")
        )
        np.testing.assert_array_equal(of_hub.load("cpu")(inputs), of_folder.load("cpu")(inputs))
        assert (of_hub.digest, of_hub.model) == (of_folder.digest, "some/clip")
    assert no_network == []


@pytest.mark.parametrize("place", ["../../words", "/etc", "a/b/c", "hf-hub:some/words"])
def test_a_repository_whose_tokenizer_is_a_path_is_refused(put, clip_folder, models, edit_json, no_network, place):
    edit_json(clip_folder / "open_clip_config.json", "model_cfg", "text_cfg", "hf_tokenizer_name", place)
    put("some/clip", [one for one in clip_folder.iterdir() if one.is_file()])
    with pytest.raises(UsageError, match=r"hf_tokenizer_name of open_clip_config.json is .*; it must be OWNER/REPO"):
        models().clip_text("hf-hub:some/clip")
    assert no_network == []


def test_the_code_of_a_tokenizer_on_the_hub_is_not_run(put, clip_folder, models, edit_json, no_network):
    put("some/clip", [one for one in clip_folder.iterdir() if "tokenizer" not in one.name])
    edit_json(clip_folder / "tokenizer_config.json", "auto_map", {"AutoTokenizer": ["code.T", None]})
    put("tiny", sorted(clip_folder.glob("*tokenizer*")))
    with pytest.raises(UsageError, match=r"asks for Python code of the folder .auto_map., which is never run"):
        models().clip_text("hf-hub:some/clip").load("cpu")
    assert no_network == []


def test_what_is_fetched_of_a_model_is_all_that_its_texts_need(published, models, edit_json, clip_folder, unplug):
    edit_json(clip_folder / "open_clip_config.json", "model_cfg", "text_cfg", "hf_tokenizer_name", "some/words")
    files = clip_files("hf-hub:some/clip", fetch=True)
    assert files.are_here and {one.checkpoint.place for one in files.every if one.checkpoint} == {
        "some/clip",
        "some/words",
    }
    assert sorted(published) == sorted(
        [f"some/clip/{name}" for name in ("open_clip_config.json", "open_clip_model.safetensors")]
        + [f"some/words/{path.name}" for path in clip_folder.glob("*tokenizer*")]
    )
    unplug()
    assert models().clip_text("hf-hub:some/clip").load("cpu")(TEXTS).shape[0] == 2


def test_images_need_no_tokenizer(published, models, edit_json, clip_folder, unplug, pixels):
    edit_json(clip_folder / "open_clip_config.json", "model_cfg", "text_cfg", "hf_tokenizer_name", "some/words")
    clip_files("hf-hub:some/clip", fetch=True)
    for path in Path(constants.HF_HUB_CACHE).glob("some/words/*"):
        path.unlink()
    unplug()
    models().clip_image("hf-hub:some/clip").load("cpu")(pixels)
    with pytest.raises(ExpclipError, match=r"some/words: .* is not on this machine and could not be fetched"):
        models().clip_text("hf-hub:some/clip")


def test_the_tokenizer_behind_a_tag_is_part_of_what_texts_are(put, clip_folder, models, monkeypatch, offline):
    config = open_clip.get_model_config("ViT-B-32") | {"text_cfg": {"hf_tokenizer_name": "some/words"}}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny", config)
    digests = []
    for spoilt in (False, True):
        tokenizer = clip_folder / "tokenizer.json"
        if spoilt:
            shutil.rmtree(offline)
            tokenizer.write_text(tokenizer.read_text() + " ")
        put("some/words", [tokenizer])
        node = models().clip_text("tiny@random")
        assert set(node.spec["tokenizer"]) == {"tokenizer.json"}
        digests.append(digest(node.spec))
    assert len(set(digests)) == 2


def test_the_texts_of_openais_models_are_what_they_were(models):
    assert models().clip_text("ViT-B-32@random").spec["tokenizer"] == {"open_clip": "simple"}
