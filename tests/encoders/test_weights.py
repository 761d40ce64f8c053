"""The files that models need: which they are, fetching only those, and finding damage; without a network."""

import json
from pathlib import Path

import open_clip
import pytest
from expclip.commands.weights import CheckWeights, ListWeights
from expclip.encoders import hub
from expclip.encoders.blip2.teacher import teacher_files
from expclip.encoders.clip.found import clip_files
from expclip.encoders.families import family_of
from expclip.encoders.names import DEFAULT_CLIP, DEFAULT_TEACHER, FLAVA, clip_name
from expclip.encoders.weights import PUBLISHED, file_states
from expclip.errors import ExpclipError, UsageError
from expclip.stages.weights import check_weights, list_weights

INDEX = "model.safetensors.index.json"
pytestmark = pytest.mark.usefixtures("offline")


def of_encoder_side(teacher: Path) -> set[str]:
    """The files of a teacher that hold anything but its decoder."""
    holder = json.loads((teacher / INDEX).read_text())["weight_map"]
    shards = {shard for name, shard in holder.items() if not name.startswith("language_model.decoder.")}
    return {"config.json", "tokenizer.json", INDEX, *shards}


@pytest.fixture
def network(teacher, offline, monkeypatch) -> list[str]:
    """A hub that has one repository, the teacher's; lists the files that are downloaded."""
    downloaded: list[str] = []
    folder = offline / "models--some--teacher" / "snapshots" / "main"

    class Metadata:
        etag = "e"

    def metadata(url):
        name = url.rpartition("/")[2]
        if not (teacher / name).is_file():
            raise hub.EntryNotFoundError("404")
        return Metadata

    def download(repository, name, revision):
        assert repository == "some/teacher"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((teacher / name).read_bytes())
        downloaded.append(name)
        return str(folder / name)

    def cached(repository, name):
        return folder / name if (folder / name).is_file() else None

    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", metadata)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    monkeypatch.setattr(hub, "cached", cached)
    return downloaded


def test_only_the_encoder_side_is_fetched_and_only_once(teacher, network):
    wanted = of_encoder_side(teacher)
    assert len(wanted) < len(list(teacher.glob("model-*"))) + 3  # some shards hold the decoder alone
    found = teacher_files("some/teacher", fetch=True)
    assert set(found.names) == set(network) == wanted
    assert all(found.path(name) for name in found.names)
    network.clear()
    assert teacher_files("some/teacher", fetch=True) == found
    assert network == []


def test_what_is_fetched_is_enough_for_every_encoder(teacher, network, models, pixels):
    teacher_files("some/teacher", fetch=True)
    network.clear()
    node = models().llm("some/teacher", "related-1")
    node.load("cpu")(node.parent.load("cpu")(pixels))
    assert network == []


def test_without_a_network_fetching_says_what_to_do():
    for fetch, name in ((clip_files, DEFAULT_CLIP), (teacher_files, DEFAULT_TEACHER)):
        with pytest.raises(ExpclipError, match=r"is not on this machine and could not be fetched .*weights fetch"):
            fetch(name, fetch=True)


def test_looking_never_asks_the_network(monkeypatch):
    def ask(*_, **__):
        pytest.fail("the network was asked")

    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", ask)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", ask)
    assert [line.here for line in list_weights(ListWeights())] == [0] * len(PUBLISHED)
    states = check_weights(CheckWeights(clip=[DEFAULT_CLIP, "ViT-B-32@random"], teacher=DEFAULT_TEACHER))
    assert {state.state for state in states} == {"missing"}
    assert {state.model for state in states} == {"ViT-L-14-quickgelu@openai", DEFAULT_TEACHER}


def test_a_list_says_what_is_here_and_of_which_commit(put, teacher):
    put("Salesforce/blip2-flan-t5-xl", sorted(teacher / name for name in of_encoder_side(teacher))[:-1])
    (line,) = (line for line in list_weights(ListWeights()) if line.model == "blip2-flan-t5-xl")
    assert (line.files, line.here) == (len(of_encoder_side(teacher)), len(of_encoder_side(teacher)) - 1)
    assert line.commit == "0123456789abcdef0123456789abcdef01234567"


def test_published_models_come_from_where_the_encoders_look_for_them():
    for model, known in PUBLISHED.items():
        if known.role == "teacher" or model == FLAVA:
            assert family_of(known.role, model).name(model).source == known.source
        else:
            name = clip_name(model)
            tag = open_clip.get_pretrained_cfg(name.architecture, name.source)
            assert tag["hf_hub"].rstrip("/") == known.source
        assert known.bytes <= known.bytes_published


def states_of(name: str) -> dict[str, str]:
    return {state.file: state.state for state in file_states(teacher_files(name))}


def test_whole_files_of_the_hub_are_told_from_damaged_and_missing_ones(put, teacher):
    wanted = of_encoder_side(teacher)
    snapshot = put("some/teacher", [teacher / name for name in wanted])
    assert states_of("some/teacher") == dict.fromkeys(wanted, "whole")
    first, second, *_ = sorted(name for name in wanted if name.startswith("model-"))
    flipped = bytearray((snapshot / first).read_bytes())
    flipped[-1] ^= 1
    (snapshot / first).resolve().write_bytes(flipped)
    (snapshot / "tokenizer.json").resolve().write_text("{}")
    (snapshot / second).unlink()
    damage = {first: "damaged", "tokenizer.json": "damaged", second: "missing"}
    assert states_of("some/teacher") == dict.fromkeys(wanted, "whole") | damage


def test_files_of_a_folder_have_no_digest_but_a_cut_one_is_seen(teacher, clip_folder):
    assert set(states_of(str(teacher)).values()) == {"no digest on record"}
    shard = next(iter(sorted(of_encoder_side(teacher) - {"config.json", "tokenizer.json", INDEX})))
    (teacher / shard).write_bytes((teacher / shard).read_bytes()[:-10])
    assert states_of(str(teacher))[shard] == "damaged"
    weights = clip_folder / "open_clip_model.safetensors"
    weights.unlink()
    states = {state.file: state.state for state in file_states(clip_files(f"local-dir:{clip_folder}"))}
    assert states.pop(weights.name) == "missing"
    assert set(states.values()) == {"no digest on record"}


def test_the_built_in_models_are_here(tmp_path):
    states = check_weights(CheckWeights(clip="miniature", teacher="miniature"))
    assert {state.state for state in states} == {"no digest on record"}
    assert any("model-0000" in state.file for state in states)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match=f"there is no folder {tmp_path}/gone"):
        clip_files(f"local-dir:{tmp_path}/gone")
