"""Small copies of the nine data sets, in the layouts in which they are distributed.

Each function of `TREES` writes a tree below a root and returns the class of each sample, by sample id.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from expclip.manifests.classes import CLASSES
from PIL import Image

RAF_LABELS = {1: "surprise", 2: "fear", 3: "disgust", 4: "happiness", 5: "sadness", 6: "anger", 7: "neutral"}
AFFECTNET = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
VOTED = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
FERV_FOLDERS = dict(zip(("Happy", "Sad", "Neutral", "Angry", "Surprise", "Disgust", "Fear"), CLASSES, strict=False))
AFEW_FOLDERS = dict(
    zip(("Happiness", "Sadness", "Neutral", "Anger", "Surprise", "Disgust", "Fear"), CLASSES, strict=False)
)
VOTE_HEADER = "Usage,Image name," + ",".join(VOTED) + ",unknown,NF\n"

Tree = dict[str, str]


def picture(path: Path) -> None:
    """A picture that no other path has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(list(str(path).encode()))
    Image.fromarray(noise.integers(0, 256, (48, 48), dtype=np.uint8)).save(path)


def clip(folder: Path, frames: int) -> None:
    for number in range(1, frames + 1):
        picture(folder / f"{number:03d}.png")


def text(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def caer_s(root: Path) -> Tree:
    names = [f"train/{folder}/0001.png" for folder in ("Anger", "Happy")]
    for name in (*names, "test/Fear/0001.png"):
        picture(root / name)
    return dict.fromkeys(names, "")


def raf_db(root: Path) -> Tree:
    lines = [f"test_{k:04d}.jpg {k}" for k in RAF_LABELS] + ["train_00001.jpg 5"]
    text(root / "EmoLabel/list_patition_label.txt", lines)
    for line in lines:
        picture(root / "aligned" / line.split()[0].replace(".jpg", "_aligned.jpg"))
    return {f"aligned/test_{k:04d}_aligned.jpg": name for k, name in RAF_LABELS.items()}


def affectnet(root: Path, part: str = "val_set") -> None:
    """One picture of each expression, 0 to 7; labels are text in some copies and integers in others."""
    for number in range(8):
        picture(root / part / "images" / f"{number + 10}.jpg")
        (root / part / "annotations").mkdir(parents=True, exist_ok=True)
        np.save(
            root / part / "annotations" / f"{number + 10}_exp.npy", np.array(number if number % 2 else str(number))
        )
        np.save(root / part / "annotations" / f"{number + 10}_val.npy", np.array("0.5"))


def affectnet_7(root: Path) -> Tree:
    affectnet(root)
    return {f"val_set/images/{k + 10}.jpg": name for k, name in enumerate(AFFECTNET[:7])}


def affectnet_8(root: Path) -> Tree:
    affectnet(root)
    return {f"val_set/images/{k + 10}.jpg": name for k, name in enumerate(AFFECTNET)}


def votes(column: int, most: int = 6) -> list[int]:
    """Ten votes, most of them in one column of FERPlus."""
    return [most if k == column else (10 - most if k == 8 else 0) for k in range(10)]


def ferplus_pictures(root: Path) -> Tree:
    """FER2013Test/label.csv beside its pictures; the last has no majority."""
    rows = [votes(k) for k in range(8)] + [votes(0, most=5)]
    lines = [f'fer{k:07d}.png,"(0, 0, 48, 48)",{",".join(map(str, row))}' for k, row in enumerate(rows)]
    text(root / "FER2013Test/label.csv", lines)
    for k in range(len(rows)):
        picture(root / f"FER2013Test/fer{k:07d}.png")
    return {f"FER2013Test/fer{k:07d}.png": name for k, name in enumerate(VOTED)}


def ferplus_table(root: Path) -> Tree:
    """fer2013.csv, which holds pixels as text, and the votes of fer2013new.csv, row by row."""
    usages = ["Training", "PublicTest", *["PrivateTest"] * 9]
    rows = [votes(3), votes(4), *(votes(k) for k in range(8)), votes(9, most=10)]
    names = [f"fer{k:07d}.png" for k in range(10)] + [""]
    voted = [
        f"{usage},{name},{','.join(map(str, row))}" for usage, name, row in zip(usages, names, rows, strict=True)
    ]
    (root / "fer2013new.csv").write_text(VOTE_HEADER + "".join(f"{line}\r\n" for line in voted))
    noise = np.random.default_rng(0).integers(0, 256, (len(rows), 48 * 48))
    pixels = [f"0,{' '.join(map(str, row))},{usage}" for row, usage in zip(noise, usages, strict=True)]
    text(root / "fer2013.csv", ["emotion,pixels,Usage", *pixels])
    return {f"fer{k + 2:07d}.png": name for k, name in enumerate(VOTED)}


def dfew(root: Path) -> Tree:
    """Its own tables: one clip of each class a fold, numbered from 1, names without leading zeros."""
    tree = {}
    for fold in range(1, 6):
        ids = [fold * 100 + label for label in range(1, 8)]
        table = root / "EmoLabel_DataSplit/test(single-labeled)" / f"set_{fold}.csv"
        text(table, ["video_name,label", *(f"{one},{one % 100}" for one in ids)])
        for one in ids:
            clip(root / f"Clip/clip_224x224/{one:05d}", 3)
            tree[f"Clip/clip_224x224/{one:05d}"] = CLASSES[one % 100 - 1]
    return tree


def ferv39k(root: Path) -> Tree:
    text(root / "4_setups/All_scenes/test_All.csv", [f"Action/{name}/0001 {name}" for name in FERV_FOLDERS])
    text(root / "4_setups/All_scenes/train_All.csv", [f"War/{name}/0001 {name}" for name in FERV_FOLDERS])
    for scene in ("Action", "War"):
        for folder in FERV_FOLDERS:
            clip(root / f"2_ClipsforFaceCrop/{scene}/{folder}/0001", 3)
    return {f"2_ClipsforFaceCrop/Action/{folder}/0001": name for folder, name in FERV_FOLDERS.items()}


def mafw(root: Path) -> Tree:
    tree = {}
    for fold in range(1, 6):
        ids = {f"{fold}{k:04d}": name for k, name in enumerate(CLASSES)}
        text(root / f"single/no_caption/set_{fold}/test.txt", [f"{one}.mp4 {name}" for one, name in ids.items()])
        for one, name in ids.items():
            clip(root / "data/faces" / one, 2)
            tree[f"data/faces/{one}"] = name
    return tree


def afew(root: Path) -> Tree:
    for folder in AFEW_FOLDERS:
        clip(root / f"validation/{folder}/1_1_002916200", 3)
    return {f"validation/{folder}/1_1_002916200": name for folder, name in AFEW_FOLDERS.items()}


TREES: dict[str, Callable[[Path], Tree]] = {
    "caer-s": caer_s,
    "raf-db": raf_db,
    "affectnet-7": affectnet_7,
    "affectnet-8": affectnet_8,
    "ferplus": ferplus_pictures,
    "ferplus, table": ferplus_table,
    "dfew": dfew,
    "ferv39k": ferv39k,
    "mafw": mafw,
    "afew": afew,
}
"""By data set, and after a comma which of its layouts."""
