"""Whatever a file from elsewhere holds: the tool's own one-line errors, nothing run, memory bounded."""

import io
import json
import os
import pickle
import resource
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from expclip.cache.cache import Cache
from expclip.cache.hdf5 import export_store, import_store
from expclip.encoders.families import Models
from expclip.encoders.pictures import read_pictures
from expclip.errors import ExpclipError
from expclip.heads.foreign import read_weight
from expclip.heads.saving import load_head, read_card
from expclip.manifests.boxes import read_boxes
from expclip.manifests.catalogue import parse_dataset
from expclip.manifests.classes import CLASSES
from expclip.manifests.descriptions import read_descriptions
from expclip.manifests.layouts import read_dataset
from expclip.manifests.prompts import instruction, prompt_set
from expclip.settings import read_settings
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save
from videos import make

MEMORY = 3 << 30
"""Bytes of address space that reading anything may take beside what the process has."""
LONGEST = 4000
"""Letters of a message."""

bounded = settings(
    max_examples=40,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(autouse=True)
def memory_bounded():
    """More than some memory cannot be had: what asks for it fails with another error than the tool's own."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(statm.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


class Canary:
    """Unpickling it makes a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


# Values that stand for what JSON, TOML and CSV can spell and Python's own writers cannot.
SPELT = {
    "@deep@": "[" * 100_000 + "]" * 100_000,
    "@digits@": "7" * 6_000,
    "@nan@": "NaN",
    "@endless@": "-Infinity",
    "@float@": "1e400",
}
VALUES: list[Any] = [
    *(None, True, -1, 0, 3, 10**7, 10**30, 0.5, 1e308, "", "a string", "../../elsewhere", "hf-hub:stranger/model"),
    *(
        "\x1b]0;title\x07",
        "=1+1",
        "\ud800",
        "x" * 100_000,
        "NaN",
        [],
        {},
        [[]],
        {"a": {"b": []}},
        [1e9] * 1000,
        *SPELT,
    ),
]


@st.composite
def changed_json(draw: st.DrawFn, document: Any) -> bytes:
    """A JSON document in which one value, or its key, is another."""
    content = json.loads(json.dumps(document))
    parent, key = _a_place(draw, content)
    value = draw(st.sampled_from(VALUES))
    if isinstance(parent, dict) and draw(st.booleans()):
        parent[draw(st.sampled_from(["", "trust_remote_code", "auto_map", "@deep@", *parent]))] = value
    elif parent is not None:
        parent[key] = value
    text = json.dumps(content if parent is not None else value)
    for name, spelt in SPELT.items():
        text = text.replace(json.dumps(name), spelt)
    return text.encode()


def _a_place(draw: st.DrawFn, content: Any) -> tuple[Any, Any]:
    parent, key = None, None
    while isinstance(content, dict | list) and content and (parent is None or draw(st.integers(0, 3))):
        parent, key = (
            content,
            draw(st.sampled_from(sorted(content) if isinstance(content, dict) else range(len(content)))),
        )
        content = parent[key]
    return parent, key


@st.composite
def changed_bytes(draw: st.DrawFn, example: bytes) -> bytes:
    """A file that was cut, in which bytes are others, or which is something else altogether."""
    hostile = [
        *(value.encode() for value in SPELT.values()),
        b"\0",
        b"\xff\xfe",
        b'"',
        b"\n",
        b"\x1b[31m",
        b"x" * 100_000,
    ]
    start = draw(st.integers(0, len(example)))
    stop = draw(st.integers(start, min(len(example), start + 40)))
    new = draw(st.one_of(st.binary(max_size=8), st.sampled_from(hostile)))
    return draw(st.sampled_from([example[:start], example[:start] + new + example[stop:], example + new, new]))


@dataclass(frozen=True)
class Kind:
    """A kind of file that comes from elsewhere."""

    name: str
    """Of the file."""
    example: Callable[[Path], bytes]
    """Its content where it is sound; the folder is for what else it needs."""
    read: Callable[[Path], Any]
    """What a command does with it."""


def read_list(path: Path) -> None:
    read_dataset(parse_dataset(str(path)), None, path.parent / "builtin")


def read_picture(path: Path) -> None:
    for _ in read_pictures(path, [0, 1]):
        pass


def read_head(path: Path) -> None:
    card = read_card(path)
    if card is not None:
        load_head(path, card)


def a_picture(name: str, **options: Any) -> Callable[[Path], bytes]:
    def example(folder: Path) -> bytes:
        image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8))
        image.save(folder / name, **options)
        return (folder / name).read_bytes()

    return example


def a_video(folder: Path) -> bytes:
    return make(folder / "v.mp4", 8).read_bytes()


def a_state_dict(folder: Path) -> bytes:
    buffer = io.BytesIO()
    torch.save({"weight": torch.eye(4), "more": {"deep": torch.ones(2)}}, buffer)
    return buffer.getvalue()


def a_pickle(folder: Path) -> bytes:
    return pickle.dumps({"weight": Canary(folder / "canary")})


def text(content: str) -> Callable[[Path], bytes]:
    return lambda folder: content.encode()


PROMPTS = {name: [f"a face of {name}"] for name in CLASSES}
CARD = {
    "id": "0" * 12,
    "head": "linear",
    "objective": "infonce",
    "backbone": "b",
    "clip_digest": "d",
    "teacher": "t",
    "instruction": "i",
    "protocol": "released",
    "train": "x",
    "seed": 1,
    "untrained": False,
    "spec": {"L": 4},
}
KINDS = [
    Kind("list.txt", text("a/1.jpg 1 happiness\nb/2.jpg 1 sadness\n"), read_list),
    Kind("list.csv", text('path,label\na.jpg,"happiness"\nb.jpg,sadness\n'), read_list),
    Kind("boxes.txt", text("a.jpg 1 2 30 40\nb.jpg 3 4 50 60\n"), read_boxes),
    Kind("boxes.csv", text("path,x,y,w,h\na.jpg,1,2,30,40\n"), read_boxes),
    Kind("prompts.txt", text("a photo of {class}\n{class}\n"), lambda path: prompt_set(str(path))),
    Kind("instruction.txt", text("Describe the mouth.\n"), lambda path: instruction(str(path))),
    Kind("descriptions.csv", text('sample_id,text\na.jpg,"a face, smiling"\n'), read_descriptions),
    Kind(
        "expclip.toml",
        text('cache = "c"\n[roots]\nraf-db = "/r"\n[defaults]\nclip = "x"\n'),
        lambda p: read_settings(p.parent),
    ),
    Kind("head.pth", a_state_dict, read_weight),
    Kind("pickle.pth", a_pickle, read_weight),
    Kind("head.safetensors", lambda folder: save({"weight": torch.eye(4)}, {"expclip": json.dumps(CARD)}), read_head),
    Kind("a.png", a_picture("a.png"), read_picture),
    Kind("a.jpg", a_picture("a.jpg", progressive=True), read_picture),
    Kind("a.gif", a_picture("a.gif"), read_picture),
    Kind("a.webp", a_picture("a.webp"), read_picture),
    Kind("a.tif", a_picture("a.tif", compression="tiff_lzw"), read_picture),
    Kind("a.bmp", a_picture("a.bmp"), read_picture),
    Kind("a.jp2", a_picture("a.jp2"), read_picture),
    Kind("a.ppm", a_picture("a.ppm"), read_picture),
    Kind("a.mp4", a_video, read_picture),
]


def refused_or_read(kind: Callable[[Path], Any], path: Path, content: bytes) -> None:
    path.write_bytes(content)
    try:
        kind(path)
    except ExpclipError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < LONGEST
    assert not list(path.parent.rglob("canary*"))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@bounded
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_in_one_line(kind, data, tmp_path):
    example = kind.example(tmp_path)
    refused_or_read(kind.read, tmp_path / kind.name, data.draw(changed_bytes(example)))


@bounded
@given(content=changed_json(PROMPTS))
def test_a_prompt_file_of_other_content_is_read_or_refused_in_one_line(content, tmp_path):
    refused_or_read(lambda path: prompt_set(str(path)), tmp_path / "prompts.json", content)


@bounded
@given(content=changed_json(CARD))
def test_a_head_with_another_card_is_read_or_refused_in_one_line(content, tmp_path):
    tensors = {"weight": torch.eye(4)}
    data = save(tensors, {"expclip": content.decode()})
    refused_or_read(read_head, tmp_path / "head.safetensors", data)


@pytest.fixture(scope="module")
def folders(tiny_models, tmp_path_factory) -> Path:
    """A copy of the tiny models that is changed again and again."""
    return Path(shutil.copytree(tiny_models, tmp_path_factory.mktemp("hostile") / "models"))


MODEL_FILES = [
    *(("clip", name, "clip_text") for name in ("open_clip_config.json", "tokenizer.json", "tokenizer_config.json")),
    *(("teacher", name, "llm_text") for name in ("config.json", "tokenizer.json")),
    ("teacher", "model.safetensors.index.json", "query_tokens"),
]


@pytest.mark.parametrize(("model", "name", "node"), MODEL_FILES, ids=lambda value: value)
@settings(bounded, max_examples=25)
@given(data=st.data())
def test_a_model_with_a_changed_file_is_loaded_or_refused_in_one_line(folders, model, name, node, data):
    path = folders / model / name
    sound = path.read_bytes()

    def load(path: Path) -> None:
        where = f"local-dir:{path.parent}"
        encoder = Models(None, "cpu").node(node, where, dtype="float32").load("cpu")
        if node != "query_tokens":
            encoder(["a face"])

    try:
        refused_or_read(load, path, data.draw(st.one_of(changed_json(json.loads(sound)), changed_bytes(sound))))
    finally:
        path.write_bytes(sound)


@pytest.fixture(scope="module")
def exported(tiny_models, tmp_path_factory) -> bytes:
    """A store with its manifest as one file."""
    import expclip

    folder = tmp_path_factory.mktemp("exported")
    for k in range(3):
        Image.fromarray(np.full((8, 8, 3), 80 * k, np.uint8)).save(folder / f"{k}.png")
    expclip.extract(
        folder, clip=f"local-dir:{tiny_models / 'clip'}", features="clip_image", device="cpu", cache=folder / "c"
    )
    cache = Cache(folder / "c")
    (store,) = cache.stores()
    export_store(store, cache.manifest_of(store.header.dataset, store.header.rows_digest), folder / "a.h5")
    return (folder / "a.h5").read_bytes()


@bounded
@given(data=st.data())
def test_a_damaged_export_is_imported_or_refused_in_one_line(exported, data, tmp_path):
    def bring(path: Path) -> None:
        import_store(Cache(tmp_path / "cache"), path)

    refused_or_read(bring, tmp_path / "a.h5", data.draw(changed_bytes(exported)))
