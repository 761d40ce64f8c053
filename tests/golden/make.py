"""Write the golden files anew: `python tests/golden/make.py`, or only some of them: `… make.py plans options`.

`cache` is the archive of pictures and of a cache that was made from them; `plans`, `options`, `printed` and `cached`
are the chapters of `chapters.py`, which are written to a JSON file each. Do this only where what commands give is
meant to change, and read the difference. Making `cache` anew loses the proof that caches of earlier versions are
read: leave it out but for a change of the format. It works in the folder /data, which is removed afterwards.
"""

import os
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
from chapters import CHAPTERS, MINI, SETS, TEACHER, write_golden
from place import ARCHIVE, HERE, ORIGIN, Place, standing_in

CLASSES = ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear")
FILMS = {"a": 3, "b": 9, "c d": 16, "e": 20}


def main(names: list[str]) -> None:
    if unknown := set(names) - {"cache", *CHAPTERS}:
        sys.exit(f"there is no {', '.join(sorted(unknown))}: choose cache, {', '.join(CHAPTERS)}")
    if "cache" in names:
        make_archive()
    for name in names:
        if name in CHAPTERS:
            with tempfile.TemporaryDirectory() as folder, standing_in(Path(folder)) as place:
                write_golden(name, CHAPTERS[name](place))
        print(name)


def make_archive() -> None:
    """Draw the pictures where nobody has any, run the commands on them, and pack both."""
    work = Path(ORIGIN).parent
    if work.exists():
        sys.exit(f"{work} is there already: remove it, or make this on another machine")
    try:
        draw_faces(Path(ORIGIN))
        os.chdir(work)
        os.environ["EXPCLIP_CACHE"] = str(work / "old")
        fill_cache(Place(work))
        with tarfile.open(ARCHIVE, "w:xz", preset=9) as archive:
            for folder, name in ((ORIGIN, "faces"), ("old", "old"), ("handed", "handed")):
                archive.add(folder, name, filter=anonymous)
    finally:
        os.chdir(HERE)
        shutil.rmtree(work)


def anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Without the owner, and without the file that remembers where weights lie on this machine."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return None if Path(member.name).name == "weights.json" else member


def draw_faces(root: Path) -> None:
    from expclip.manifests.faces import sample_face

    for k in range(23):
        save(root / f"photos/photo-{k:02d}.png", sample_face(1, k))
    (root / "photos/photo-99.png").write_text("no picture")
    for k in range(14):
        save(root / f"labelled/{CLASSES[k % 7]}/{k:02d}.png", sample_face(2, k, k % 7))
    listed = [f"labelled/{CLASSES[k % 7]}/{k:02d}.png 1 {k % 7}\n" for k in range(14)]
    (root / "first.txt").write_text("".join(listed[::-1]))
    others = [f"labelled/{CLASSES[k % 7]}/{k:02d}.png 1 {(k % 7 + 1) % 7}\n" for k in (0, 3, 5, 9, 12)]
    (root / "second.txt").write_text("".join(listed[:9:2] + others + ["labelled/gone.png 1 2\n"]))
    for k, (name, frames) in enumerate(FILMS.items()):
        for number in range(frames):
            save(root / f"films/{name}/{number:03d}.png", sample_face(3 + k, number, k), 24)
    (root / "films.txt").write_text("".join(f"films/{name} {n} {k}\n" for k, (name, n) in enumerate(FILMS.items())))
    for fold in range(1, 6):
        clips = {fold * 100 + label: label for label in (1, 1 + fold, 7)}
        table = root / f"dfew/EmoLabel_DataSplit/test(single-labeled)/set_{fold}.csv"
        table.parent.mkdir(parents=True, exist_ok=True)
        table.write_text("video_name,label\n" + "".join(f"{clip},{label}\n" for clip, label in clips.items()))
        for clip, label in clips.items():
            for number in (1, 2):
                save(
                    root / f"dfew/Clip/clip_224x224/{clip:05d}/{number}.png", sample_face(clip, number, label - 1), 24
                )


def save(path: Path, face, size: int = 40) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(face.draw(size)).quantize(32).save(path, optimize=True)


def fill_cache(place: Place) -> None:
    instructions = ("--instruction", "related-1", "--instruction", "empty")
    sets = [f"{ORIGIN}/{name}" for name in SETS]
    place.invoke("extract", f"{ORIGIN}/photos", *MINI, *TEACHER, *instructions, code=3)
    place.invoke("extract", *sets, "dfew", f"--root=dfew={ORIGIN}/dfew", *MINI, code=3)
    place.invoke("extract", sets[0], *MINI, *TEACHER)
    fit = ("fit-head", "--train", f"{ORIGIN}/photos", *MINI, *TEACHER, "--batch-size", "16")
    place.invoke(*fit, "--seed", "1", "--seed", "2")
    place.invoke(*fit, "--head", "mlp2", "--head", "ridge", "--seed", "1")
    for weights in Path("old/heads").glob("*/head.safetensors"):
        shorten(weights)
    prompts = ("--prompts", "P-1", "--prompts", "P-3")
    evaluate = ("evaluate", sets[0], *MINI, "--out", "out", "--no-intervals")
    place.invoke(*evaluate, *prompts, "--prompts", "P-5", "--head", "none")
    place.invoke(*evaluate, *prompts, "--image", "llm", "--text", "llm", *TEACHER)
    Path("handed").mkdir()
    place.invoke("cache", "export", next(Path("old/films").glob("clip_image-*.zarr")).name, "handed/films.h5")
    heads = place.document("heads", "list")
    (ridge,) = [head["id"] for head in heads if head["head"] == "ridge"]
    place.invoke("heads", "export", ridge, "handed/ridge.safetensors")


def shorten(file: Path) -> None:
    """Drop the last 16 bits of each weight, so that half of the bytes are zeros and the archive stays small."""
    content = file.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    weights = np.frombuffer(content[start:], dtype="<u4") & np.uint32(0xFFFF0000)
    file.write_bytes(content[:start] + weights.tobytes())


if __name__ == "__main__":
    main(sys.argv[1:] or ["cache", *CHAPTERS])
