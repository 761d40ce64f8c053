"""What must not change, as the command line shows it: each chapter is a set of pages, JSON documents by their titles.

The tests compare the pages with the golden ones; `make.py` writes these. Nothing here imports more of expclip than
its command line, and no page depends on the machine, the moment or the folder it is written in.
"""

import csv
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from made_up_hub import COMMIT
from place import HERE, ORIGIN, Place, no_encoder

MINI = ("--clip", "miniature", "--device", "cpu")
TEACHER = ("--teacher", "miniature")
DTYPES = (None, "float32", "float16", "bfloat16")
SETS = ("labelled", "first.txt", "second.txt", "films.txt")

Pages = dict[str, Any]


def plans(place: Place) -> Pages:
    """What each model makes of which rows: digests, keys and names of stores."""
    snapshot = f"hub/models--Salesforce--blip2-flan-t5-xxl/snapshots/{COMMIT}"
    (place.folder / "mine.pt").write_bytes(b"my weights")
    named = ["--clip=ViT-B-32", "--clip=ViT-B-16", "--clip=ViT-L-14", "--teacher=blip2-flan-t5-xxl"]
    models = {
        "the miniature": ["--clip=miniature", "--teacher=miniature"],
        "the default models": named,
        "models in files": ["--clip=ViT-B-32@mine.pt", f"--teacher={snapshot}"],
    }
    asked = ["related-1", "empty", "unrelated-1", "random-7", "Describe the mouth."]
    instructions = [f"--instruction={one}" for one in asked]
    nodes = [f"--features={node}" for node in ("clip_image", "query_tokens", "llm")]
    pages: Pages = {}
    with no_encoder():
        for which, given in models.items():
            for protocol in ("released", "paper"):
                for dtype in DTYPES if which != "models in files" else DTYPES[:1]:
                    how = [f"--protocol={protocol}", *([f"--dtype={dtype}"] if dtype else []), "--device=cpu"]
                    plan = place.document("extract", "faces/photos", "--plan", *given, *instructions, *nodes, *how)
                    pages[f"{which}, {protocol}, {dtype or 'default'}"] = [_brief(one) for one in plan["stores"]]
        for name in ("labelled", "first.txt", "second.txt", "films.txt"):
            for frames in ("released", "all"):
                plan = place.document("extract", f"faces/{name}", "--plan", *MINI, "--frames", frames)
                pages[f"rows of {name}, frames {frames}"] = [_brief(one) for one in plan["stores"]]
        for name, files in json.loads((HERE / "trees.json").read_text()).items():
            for path, content in files.items():
                file = place.folder / "trees" / name / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(bytes.fromhex(content) if path.endswith(".npy") else content.encode())
            plan = place.document("extract", name, "--plan", *MINI, f"--root={name}=trees/{name}", nodes[0])
            pages[f"rows of {name}"] = [_brief(one) for one in plan["stores"]]
    return pages


def _brief(store: dict[str, Any]) -> dict[str, Any]:
    wanted = ("dataset", "node", "model", "instruction", "protocol", "untrained", "rows", "bytes")
    return {name: store[name] for name in (*wanted, "encoder_digest", "key", "path")}


def options(place: Place) -> Pages:
    """The arguments and options of every command."""
    import typer
    from expclip.cli import app, typed
    from expclip.commands import COMMANDS

    every = {f"expclip {verb}": typed(verb) for verb in COMMANDS}
    return dict(_commands(typer.main.get_command(app), "expclip", every))


def _commands(listed: Any, name: str, every: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    command = every.get(name, listed)
    yield (
        name,
        {
            "arguments": [[p.name, p.metavar, p.nargs] for p in command.params if p.param_type_name == "argument"],
            "options": sorted(
                [[*p.opts, *p.secondary_opts], "flag" if p.is_flag else "many" if p.multiple else "one"]
                for p in command.params
                if p.param_type_name == "option"
            ),
        },
    )
    for inner, one in getattr(command, "commands", {}).items():
        yield from _commands(one, f"{name} {inner}", every)


def printed(place: Place) -> Pages:
    """What the commands print with --json, of features that are computed now, and what lies in the cache then."""
    pages: Pages = {}

    def page(line: str, *more: str, code: int = 0, form: Callable[[Any], Any] = lambda document: document) -> None:
        arguments = line.replace("MINI", " ".join(MINI)).split()
        pages[line] = form(place.document(*arguments, *more, code=code))

    dfew = "--root=dfew=faces/dfew"
    page("extract faces/photos MINI --teacher miniature --plan")
    page("extract faces/photos MINI --teacher miniature --instruction related-1 --instruction empty", code=3)
    page("extract faces/labelled faces/films.txt faces/second.txt MINI", code=3)
    page("extract faces/photos MINI --teacher miniature --features llm --limit 9 --part 1/2 --plan")
    fit = "fit-head --train faces/photos --clip miniature --teacher miniature --head linear --head ridge --seed 1"
    page(f"{fit} --batch-size 16 --device cpu", form=shape)
    page("evaluate faces/labelled faces/films.txt faces/second.txt MINI --prompts P-1 --figures", code=3, form=shape)
    pages["columns of scores.csv"] = _csv(place.folder / "expclip-results/scores.csv")[0]
    from expclip import read_results

    rows = read_results(place.folder / "expclip-results").predictions
    pages["columns of predictions"] = {name: table.column_names for name, table in rows.items()}
    pages["files of an evaluation"] = _names(place.folder / "expclip-results")
    llm = "--image llm --text llm --teacher miniature --prompts P-1"
    page(f"evaluate faces/labelled MINI {llm}", form=shape)
    sides = "--image clip --image llm --text clip --text llm --prompts P-3 --no-intervals"
    page(f"evaluate faces/labelled MINI --teacher miniature {sides}", form=shape)
    page("evaluate dfew MINI --head none --prompts P-1", dfew, form=shape)
    page(f"evaluate faces/second.txt MINI {llm} --dtype float32 --no-intervals", code=3, form=shape)
    page(
        "evaluate faces/second.txt MINI --head none --prompts P-1 --dtype float32 --no-intervals", code=3, form=shape
    )
    tables = "reproduce 1 2 5 A --clip miniature --teacher miniature --train faces/photos --test faces/labelled"
    page(tables, form=shape)
    page("figures faces/labelled faces/films.txt --clip miniature --prompts P-1")
    page("cache list", form=lambda stores: [store | {"bytes": "<bytes>"} for store in stores])
    page("heads list", form=shape)
    page("datasets list")
    page("datasets audit faces/photos faces/labelled faces/first.txt faces/second.txt faces/films.txt", code=3)
    page("datasets audit dfew", dfew)
    boxes = [f"photo-{k:02d}.png {k} {k} {20 + k} {24 + k}\n" for k in range(5)]
    Path("boxes.txt").write_text("".join(boxes) + "photo-07.png 90 90 99 99\n", encoding="utf-8")
    page("crop faces/photos --out crops --boxes boxes.txt --margin 0.1 --workers 1", code=3)
    pages["crops.csv"] = [[cell for k, cell in enumerate(row) if k != 1] for row in _csv(Path("crops/crops.csv"))]
    page("weights list")
    page("weights check")
    page("weights fetch")
    page("doctor --device cpu", form=_doctor)
    pages["what lies in the cache"] = _names(place.folder / "cache", "*/*.zarr")
    pages["attributes of stores and manifests"] = {
        file.parent.relative_to(place.folder / "cache").as_posix(): _attributes(file)
        for file in sorted((place.folder / "cache").glob("*/*.zarr/zarr.json"))
    }
    return pages


def _doctor(document: Any) -> Any:
    found = shape(document)
    cpu = found["devices"][0]
    return found | {"versions": list(found["versions"]), "devices": [{"name": cpu["name"], "keys": list(cpu)}]}


def _attributes(file: Path) -> dict[str, Any]:
    """Without what changes with the versions of this package and of zarr."""
    known = json.loads(file.read_text())["attributes"]
    changing = ("wrote_by", "description", "content_digest")
    return {name: value for name, value in known.items() if name not in changing}


def _names(folder: Path, pattern: str = "**/*") -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.glob(pattern))


def _csv(file: Path) -> list[list[str]]:
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.reader(lines))


def cached(place: Place) -> Pages:
    """What comes of a cache that version 0.1.0 wrote, with the pictures gone, moved, and handed over."""
    place.use_cache("old")
    with no_encoder():
        return _pictures_gone(place) | _pictures_moved(place) | _handed_over(place)


def _pictures_gone(place: Place) -> Pages:
    pages: Pages = {}

    def evaluate(title: str, *arguments: str, code: int = 0) -> None:
        given = (*arguments, *MINI, "--cached-only", "--predictions", "csv", "--out", "out")
        pages[title] = place.document("evaluate", *given, code=code)["scores"]
        pages[f"{title}: predictions"] = _predictions(Path("out/predictions.csv"))

    both = ("--prompts", "P-1", "--prompts", "P-3")
    sets = [f"{ORIGIN}/{name}" for name in SETS]
    evaluate("all sets", *sets, "dfew", *both, code=3)
    evaluate("the mean of embeddings", sets[0], "--prompts", "P-5", "--ensemble", "embeddings")
    evaluate("the mean of logits", sets[0], "--prompts", "P-5")
    evaluate("other frames", sets[3], "--frames", "edge", *both)
    sides = ("--image", "clip", "--image", "llm", "--text", "clip", "--text", "llm", *TEACHER)
    evaluate("the LLM in CLIP's place", sets[0], *sides, "--prompts", "P-3")
    drawn = ("--kind", "confusion", "--kind", "variance", "--clip", "miniature", *both)
    pages["figures"] = place.document("figures", *sets, "dfew", *drawn)
    pages["heads list"] = place.document("heads", "list")
    pages["cache list"] = [one | {"bytes": "<bytes>"} for one in place.document("cache", "list")]
    fit = ("fit-head", "--train", f"{ORIGIN}/photos", *MINI, *TEACHER, "--batch-size", "16")
    fits = {
        "known linear heads": ("--seed", "1", "--seed", "2"),
        "known other heads": ("--head", "mlp2", "--head", "ridge", "--seed", "1"),
        "a new linear head": ("--instruction", "empty", "--seed", "1"),
        "new heads": ("--head", "mlp3", "--head", "transformer", "--seed", "5", "--epochs", "2", "--lr", "0.01"),
        "new heads of least squares": ("--objective", "mse", "--seed", "1"),
    }
    tables = ("reproduce", "1", "5", "A", "--clip", "miniature", *TEACHER, "--train", f"{ORIGIN}/photos")
    pages["reproduce"] = place.document(*tables, "--test", sets[0])
    for title, more in fits.items():
        pages[title] = place.document(*fit, *more)
    return pages


def _pictures_moved(place: Place) -> Pages:
    photos = ("extract", "faces/photos", *MINI, *TEACHER, "--instruction", "related-1", "--instruction", "empty")
    others = ("extract", *(f"faces/{name}" for name in SETS), "dfew", "--root=dfew=faces/dfew", *MINI)
    pages = {f"plan of {line[1]} elsewhere": place.document(*line, "--plan") for line in (photos, others)}
    pages["photos extracted elsewhere"] = place.document(*photos, code=3)
    pages["sets extracted elsewhere"] = place.document(*others, code=3)
    scores = place.document("evaluate", "faces/labelled", "--cached-only", *MINI, "--head=none", "--prompts=P-1")
    return pages | {"scores elsewhere": scores["scores"]}


def _handed_over(place: Place) -> Pages:
    place.use_cache("other")
    place.invoke("cache", "import", "handed/films.h5")
    place.invoke("heads", "import", "handed/ridge.safetensors")
    return {
        "stores handed over": [one | {"bytes": "<bytes>"} for one in place.document("cache", "list")],
        "heads handed over": place.document("heads", "list"),
    }


def _predictions(file: Path) -> dict[str, list[list[Any]]]:
    """By combination, a line a sample: its id, its label, what is predicted, and the cosine."""
    columns, *rows = _csv(file)
    found: dict[str, list[list[Any]]] = {}
    for row in (dict(zip(columns, cells, strict=True)) for cells in rows):
        of = " ".join(row[name] for name in ("dataset", "head", "head_id", "image", "text", "prompts"))
        found.setdefault(of, []).append([row["sample"], row["label"], row["predicted"], float(row["cosine"])])
    return found


CHAPTERS: dict[str, Callable[[Place], Pages]] = {
    "plans": plans,
    "options": options,
    "printed": printed,
    "cached": cached,
}


def golden(chapter: str) -> Pages:
    """The pages as they are to be."""
    return json.loads((HERE / f"{chapter}.json").read_text(encoding="utf-8"))


def write_golden(chapter: str, pages: Pages) -> None:
    """Indented, but what holds only plain values in one line; floats with 7 digits."""
    short = json.loads(json.dumps(pages), parse_float=lambda digits: float(f"{float(digits):.7g}"))
    text = json.dumps(short, indent=1, ensure_ascii=False)
    flat = re.sub(r"\[[^][{}]*\]|\{[^][{}]*\}", lambda found: re.sub(r"\s*\n\s*", " ", found[0]), text)
    (HERE / f"{chapter}.json").write_text(flat + "\n", encoding="utf-8")


def shape(value: Any) -> Any:
    """A document without its floats, which come from features and differ between processors in their last bits."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return "<float>" if isinstance(value, float) else value
