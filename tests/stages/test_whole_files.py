"""What commands write is whole or not there, wherever they are killed, and the next run clears up."""

import pytest
from killing import killed_at_every_change, refused_at_every_change, refused_bytes, visible

EVALUATION = """
from types import SimpleNamespace
import numpy as np
from expclip.reports.predictions import write_parquet  # by Arrow, once for all children
from expclip.reports.results import write_results
from expclip.scoring.scores import ALL, Combination, Evaluation, Predictions, score

CLASSES = ("anger", "fear")

def evaluation(datasets, prompts, seed):
    rng = np.random.default_rng(seed)
    found = Evaluation([], [])
    for dataset in datasets:
        text = ("linear", "1a2b", "infonce", "miniature", "related-1", "photos", "3c4d")
        of = Combination(dataset, "miniature", *text, 1, "clip", "clip", prompts, "logits", "released", "", False)
        found.scores.append(score(of, ALL, CLASSES, rng.integers(1, 9, (2, 2)), 0))
        manifest = SimpleNamespace(
            classes=CLASSES, sample_ids=("a.jpg", "b.jpg"), labels=np.array([0, 1]), folds=np.zeros(2, np.int16)
        )
        similarity = rng.standard_normal((2, 2)).astype(np.float32)
        found.predictions.append(Predictions(of, manifest, np.arange(2), similarity.argmax(axis=1), similarity))
    return found

OLD, NEW = evaluation(["raf-db", "dfew"], "P-1", 0), evaluation(["raf-db"], "P-3", 1)

def prepare(root):
    write_results(OLD, root / "out", figures=True, command="expclip evaluate raf-db dfew")
    (root / "out/notes.txt").write_text("mine")
    (root / "out/figures/mine.png").write_text("mine")
"""


def test_a_killed_evaluation_leaves_the_old_results_or_the_new_ones_or_none(tmp_path):
    steps = EVALUATION + "\ndef write(root):\n    write_results(NEW, root / 'out', 'csv', True, 'expclip evaluate')\n"
    found = killed_at_every_change(tmp_path, steps)
    whole = (visible(found.before), visible(found.after), {})
    assert {whole.index(visible(state)) for state in found.stopped} == {0, 1, 2}
    assert all(state == found.after for state in found.again)
    assert {path for path, what in whole[1].items() if what} == {
        *("out/scores.csv", "out/confusion.npz", "out/tables.md", "out/predictions.csv", "out/notes.txt"),
        *("out/figures/raf-db-miniature-1a2b-P-3.png", "out/figures/raf-db-miniature-1a2b-P-3.pdf"),
        "out/figures/mine.png",
    }


def test_the_files_of_an_evaluation_by_an_earlier_version_go_with_the_next_one(tmp_path):
    steps = EVALUATION + "\ndef write(root):\n    write_results(NEW, root / 'out', 'none')\n"
    steps += "\nnoting = prepare\ndef prepare(root):\n    noting(root)\n    (root / 'out/.expclip-output').unlink()\n"
    found = killed_at_every_change(tmp_path, steps)
    assert {path for path, what in visible(found.after).items() if what} == {
        *("out/scores.csv", "out/confusion.npz", "out/tables.md", "out/notes.txt", "out/figures/mine.png"),
        "out/predictions/raf-db.parquet",
    }
    whole = (visible(found.before), visible(found.after), {})
    assert all(visible(state) in whole for state in found.stopped)


FIGURES = """
from types import SimpleNamespace
from matplotlib.figure import Figure
import expclip.stages.figures.drawn as drawn
import expclip.stages.figures.figures as stage
from expclip.commands.figures import Figures

os.environ["SOURCE_DATE_EPOCH"] = "0"  # a PDF says when it was made
drawn._drawn = lambda kind, subject: [(f"{kind}-{subject.name}", Figure())]

def draw(root, kind, name):
    request = Figures(datasets=("faces",), kind=kind, out=Path("out"))
    stage._subjects = lambda *_: [SimpleNamespace(name=name, request=request)]
    return stage.figures(request)

def prepare(root):
    draw(root, ("confusion", "tsne"), "old")
    (root / "out/confusion-mine.png").write_text("mine")

def write(root):
    draw(root, ("confusion",), "new")
"""


def test_a_killed_drawing_leaves_the_old_figures_or_the_new_ones_or_none(tmp_path):
    found = killed_at_every_change(tmp_path, FIGURES)
    whole = (visible(found.before), visible(found.after), {})
    assert {whole.index(visible(state)) for state in found.stopped} == {0, 1, 2}
    assert all(state == found.after for state in found.again)
    names = ("confusion-new.png", "confusion-new.pdf", "confusion-mine.png")
    assert {path for path, what in whole[1].items() if what} == {f"out/{name}" for name in names}


HEAD = """
import torch
from expclip.commands.heads import ExportHead
from expclip.heads.foreign import write_weight
from expclip.heads.saving import HeadCard, head_id, save_head
from expclip.stages.heads import export_head
import numpy as np

def prepare(root):
    spec = {{"head": "linear", "seed": 1}}
    of = ("linear", "infonce", "miniature", "00ff", "miniature", "related-1", "released", "photos", 1, False)
    card = HeadCard(head_id(spec), *of, spec)
    save_head(root / "cache/heads", card, {{"weight": np.ones((8, 4), np.float32)}})
    (root / "files").mkdir()
    (root / "files" / "{name}").write_text("old")

def write(root):
    export_head(ExportHead(head="", file=Path("files/{name}"), cache=Path("cache")))
"""

STORE = """
import h5py
import numpy as np
from expclip.cache.cache import Cache
from expclip.cache.hdf5 import export_store
from expclip.cache.header import Header
from expclip.cache.keys import digest, store_key

def prepare(root):
    spec = {{"node": "clip_image"}}
    known = ("faces", "clip_image", "ViT-X", "", "released", False, spec, digest(spec), "rows")
    header = Header(*known, store_key(spec, "rows"), 20, (3,))
    Cache(root / "cache").create_store(header).write_shard(0, np.ones((20, 3), np.float16))
    (root / "files").mkdir()

def write(root):
    (store,) = Cache(root / "cache").stores()
    if not Path("files/{name}").exists():
        export_store(store, None, Path("files/{name}"))
"""

TABLES = """
from expclip.cache.cache import Cache
from expclip.commands.reproduce import Reproduce
from expclip.stages.reproduce.reproduce import reproduce

def prepare(root):
    (root / "files").mkdir()
    (root / "files" / "{name}").write_text("old")
    Cache(root / "cache").mark()

def write(root):
    reproduce(Reproduce(tables=("1",), test=("raf-db",), out=Path("files"), cache=Path("cache")))
"""


@pytest.mark.parametrize(
    ("name", "steps"), {"head.pth": HEAD, "head.safetensors": HEAD, "a.h5": STORE, "tables.md": TABLES}.items()
)
def test_a_killed_export_leaves_the_old_file_or_the_new_one(tmp_path, name, steps):
    found = killed_at_every_change(tmp_path, steps.format(name=name))
    file = f"files/{name}"
    there = {state.get(file) for state in found.stopped}
    assert there <= {found.before.get(file), found.after[file], None}
    assert found.before.get(file) in there
    assert len(found.stopped) >= 2
    assert all(state == found.after for state in found.again)
    shown = {
        path for path in found.after if path.startswith("files/") and not path.rpartition("/")[2].startswith(".")
    }
    assert shown == {file}


CROPS = """
import numpy as np
from PIL import Image
from expclip.commands.crop import CropFaces
from expclip.stages.crop.crop import crop

NAMES = ("0.png", "1.jpg", "2.tif")

def prepare(root):
    for k in range(3):
        path = root / "scenes" / "anger" / NAMES[k]
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(k).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
    (root / "boxes.txt").write_text("".join(f"anger/{name} 2 2 30 30\\n" for name in NAMES))

def write(root):
    crop(CropFaces(Path("scenes"), Path("out"), Path("boxes.txt"), workers=0))
"""


def test_killed_crops_are_whole_and_on_record_and_the_next_run_ends_as_if_never_killed(tmp_path):
    found = killed_at_every_change(tmp_path, CROPS)
    crops = {path: what for path, what in found.after.items() if path.startswith("out/anger/")}
    settings = "out/crops.json"
    for state, again in zip(found.stopped, found.again, strict=True):
        assert {path: what for path, what in visible(state).items() if path in crops}.items() <= crops.items()
        assert again.keys() == found.after.keys()
        assert all(again[path] == what for path, what in found.after.items() if path != settings)


WEIGHTS = """
import torch
from expclip.encoders.conversion import convert

def prepare(root):
    torch.save({"visual.proj": torch.ones(8, 4), "text_projection": torch.ones(4, 4)}, root / "a.pt")
    convert("clip", Path("a.pt"), Path("files/a.safetensors"))
    (root / "files/a.safetensors").unlink()

def write(root):
    convert("clip", Path("a.pt"), Path("files/a.safetensors"))
"""
WRITERS = {
    "evaluation": (EVALUATION + "\ndef write(root):\n    write_results(NEW, Path('out'))\n", "out", "--out"),
    "figures": (FIGURES, "out", "--out"),
    "tables": (TABLES.format(name="tables.md"), "files", "--out"),
    "head.pth": (HEAD.format(name="head.pth"), "files/head.pth", "FILE"),
    "head.safetensors": (HEAD.format(name="head.safetensors"), "files/head.safetensors", "FILE"),
    "store": (STORE.format(name="a.h5"), "files/a.h5", "FILE"),
    "crops": (CROPS, "out/", "--out"),
    "weights": (WEIGHTS, "files/a.safetensors", "--out"),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_what_a_full_disk_refuses_is_one_line_and_nothing_is_torn(tmp_path, writer):
    steps, place, _ = WRITERS[writer]
    found = refused_at_every_change(tmp_path, steps)
    assert found.said
    for line in found.said:
        assert line.startswith(f"cannot write {place}")
        assert "the disk is full: free some space, and run the command again" in line
        assert "\n" not in line
    known = {None, *found.before.items(), *found.after.items()}
    for state in found.stopped:
        torn = {path for path, what in visible(state).items() if (path, what) not in known}
        assert torn <= {"out/crops.csv", "out/crops.json"}
    files = {path for path, what in found.after.items() if what}
    assert all({path for path, what in state.items() if what} == files for state in found.again)


@pytest.mark.parametrize("writer", WRITERS)
def test_bytes_that_the_disk_refuses_are_one_line_and_nothing_is_left_of_them(tmp_path, writer):
    steps, place, _ = WRITERS[writer]
    found = refused_bytes(tmp_path, steps)
    assert len(found.said) == len(found.stopped) >= 2
    for line in found.said:
        assert line.startswith(f"cannot write {place}")
        assert "the file would be larger than allowed: raise the limit" in line
    assert all(state == found.before for state in found.stopped if writer != "crops")
    assert all(state.keys() == found.after.keys() for state in found.again)


@pytest.mark.parametrize("writer", WRITERS)
def test_the_option_that_chooses_another_place_is_named(tmp_path, writer):
    steps, _, choose = WRITERS[writer]
    found = refused_at_every_change(tmp_path, steps, "EROFS")
    assert found.said
    for line in found.said:
        assert f"the disk is read-only: choose another place with {choose}, and run the command again" in line


FACES = """
from expclip.cache.files import writing
from expclip.manifests.faces.sets import LabelledSet

def prepare(root):
    LabelledSet(7, 1).prepare(root)

def write(root):
    with writing(root, "here"):
        LabelledSet(7, 1).write(0, root)
"""


def test_a_built_in_face_is_not_taken_for_written_where_the_disk_took_a_part_of_it(tmp_path):
    found = refused_bytes(tmp_path, FACES)
    assert len(found.said) == len(found.stopped) == 2
    assert found.again == [found.after] * 2
