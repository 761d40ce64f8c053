"""The paper's tables on small data: a cell of each against a float64 computation, and what is said of the others."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zarr
from expclip import UsageError
from expclip.commands.fit_head import FitHead
from expclip.commands.reproduce import Reproduce
from expclip.heads.saving import HeadCard, head_id, save_head
from expclip.manifests import paper
from expclip.manifests.classes import CLASSES
from expclip.manifests.prompts import instruction, prompt_set
from expclip.reports.paper_tables import Cell, as_json, as_text
from expclip.stages.fit_head import optimiser_of
from expclip.stages.reproduce.known_heads import PaperHeads
from lab import Lab
from safetensors.numpy import load_file
from sklearn.metrics import accuracy_score, recall_score

INSTRUCTIONS = ("related-1", "related-2", "related-3", "unrelated-1", "random-1", "random-2")
MINIATURE = {"clip": "miniature", "teacher": "miniature"}


@pytest.fixture(scope="module")
def made(tmp_path_factory, photos, labelled) -> Lab:
    """A cache with everything that the tables need of the miniature, and two seeds; `reproduce` is about these."""
    lab = Lab(tmp_path_factory.mktemp("reproduce") / "cache")
    lab.extract(photos, **MINIATURE, instruction=INSTRUCTIONS)
    small = MINIATURE | {"seed": [1, 2], "epochs": 1, "batch_size": 16}
    lab.fit_head(photos, **small, instruction=INSTRUCTIONS)
    lab.fit_head(photos, **small, head=["mlp2", "mlp3", "transformer"])
    lab.evaluate(labelled, clip="miniature", head="none")
    lab.evaluate(labelled, image="llm", text="llm", teacher="miniature", prompts="P-3")
    return lab.but(**MINIATURE, train=photos, test=labelled)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


class Stored:
    """What lies in the cache, read by plain zarr and safetensors."""

    def __init__(self, root: Path):
        self.root = root

    def features(self, dataset: str, node: str, **attributes) -> np.ndarray:
        for features in self.every(dataset, node, **attributes):
            return features
        raise AssertionError(f"{dataset} has no {node}")

    def every(self, dataset: str, node: str, **attributes) -> Iterator[np.ndarray]:
        for path in (self.root / dataset).glob(f"{node}-*.zarr"):
            group = zarr.open_group(path, mode="r")
            if all(group.attrs[name] == value for name, value in attributes.items()):
                yield np.asarray(group["features"][:], dtype=np.float64)

    def prompts(self, node: str, name: str) -> dict[str, np.ndarray]:
        known = {}
        for path in (self.root / "text").glob("manifest-*.zarr"):
            manifest = zarr.open_group(path, mode="r")
            rows = str(manifest.attrs["rows_digest"])
            texts = bytes(manifest["sources"][:]).decode().split("\0")
            for features in self.every("text", node, rows_digest=rows):
                known |= dict(zip(texts, features, strict=True))
        return {text: known[text] for text in prompt_set(name).texts}

    def weights(self, head: str, asked: str) -> list[dict[str, np.ndarray]]:
        """Of the heads of a kind under an instruction, by seed."""
        cards = [json.loads(path.read_text()) for path in (self.root / "heads").glob("*/head.json")]
        mine = [card for card in cards if (card["head"], card["instruction"]) == (head, asked)]
        files = [self.root / "heads" / card["id"] / "head.safetensors" for card in sorted(mine, key=seed_of)]
        return [{name: value.astype(np.float64) for name, value in load_file(file).items()} for file in files]


def seed_of(card: dict) -> int:
    return card["seed"]


def scores(images: np.ndarray, texts: dict[str, np.ndarray], prompts: str) -> tuple[float, float]:
    """UAR and WAR of the 42 labelled faces, whose folders come in alphabetical order."""
    truth = np.repeat([CLASSES.index(name) for name in sorted(CLASSES[:7])], 6)
    of_class = [prompt_set(prompts).prompts[name] for name in CLASSES[:7]]
    cosines = [(unit(images) @ unit(np.stack([texts[text] for text in some])).T).mean(axis=1) for some in of_class]
    predicted = np.argmax(cosines, axis=0)
    recall = recall_score(truth, predicted, labels=range(7), average="macro", zero_division=0)
    return 100 * float(recall), 100 * float(accuracy_score(truth, predicted))


def linear(weights: dict[str, np.ndarray]):
    return lambda x: x @ weights["weight"].T


def mlp2(weights: dict[str, np.ndarray]):
    return lambda x: np.maximum(x @ weights["0.weight"].T + weights["0.bias"], 0) @ weights["1.weight"].T


def behind(stored: Stored, project, head: str = "linear", asked: str = "related-1", prompts: str = "P-3"):
    """UAR and WAR of each seed, images and prompts behind the head."""
    e_i, e_t = stored.features("labelled", "clip_image"), stored.prompts("clip_text", prompts)
    found = []
    for weights in stored.weights(head, asked):
        P = project(weights)
        found.append(scores(P(e_i), {text: P(value) for text, value in e_t.items()}, prompts))
    return found


def llm_images(stored: Stored):
    e_g, e_t = stored.features("labelled", "llm"), stored.prompts("clip_text", "P-3")
    projections = [linear(weights) for weights in stored.weights("linear", "related-1")]
    return [scores(e_g, {text: P(value) for text, value in e_t.items()}, "P-3") for P in projections]


def unrelated_mean(stored: Stored):
    each = [behind(stored, linear, asked=name) for name in ("unrelated-1", "random-1", "random-2")]
    return [tuple(np.mean(of_seed, axis=0)) for of_seed in zip(*each, strict=True)]


def plain(stored: Stored):
    return [scores(stored.features("labelled", "clip_image"), stored.prompts("clip_text", "P-3"), "P-3")]


CELLS = {
    "1": ({"method": "Exp-CLIP"}, lambda stored: behind(stored, linear)),
    "2": ({"method": "CLIP"}, plain),
    "3": ({"published": "mean-unrelated"}, unrelated_mean),
    "4": ({"head": "mlp2"}, lambda stored: behind(stored, mlp2, "mlp2")),
    "5": ({"image": "llm", "text": "clip"}, llm_images),
    "A": ({"method": "Exp-CLIP", "prompts": "P-5"}, lambda stored: behind(stored, linear, prompts="P-5")),
    "B": ({"published": "unrelated-2"}, lambda stored: behind(stored, linear, asked="random-1")),
}


@pytest.mark.parametrize("table", CELLS)
def test_a_cell_of_each_table_equals_a_float64_computation(made, work, table):
    (filled,) = made.reproduce(table).tables
    wanted, expected = CELLS[table]
    (row,) = [one for one in filled.rows if all(getattr(one.row, name) == wanted[name] for name in wanted)]
    (cell,) = row.cells
    np.testing.assert_allclose(list(zip(cell.uar, cell.war, strict=True)), expected(Stored(made.cache.root)))
    assert all(one.uar and not one.published for row in filled.rows for one in row.cells)
    assert not work


def test_every_published_number_has_its_cell():
    cells = {(table, row, name.lower()) for table in paper.paper_tables() for row in paper.rows_of(table)
             for name in paper.DATASETS if paper.published_score(row, name.lower())}  # fmt: skip
    assert len(cells) == 612
    (row,) = [row for row in paper.rows_of("5") if (row.image, row.text) == ("llm", "llm")]
    assert paper.published_score(row, "raf-db") == (19.46, 41.23)


def test_every_instruction_and_prompt_set_of_the_tables_exists():
    for table in paper.paper_tables():
        for row in paper.rows_of(table):
            assert prompt_set(row.prompts).name == row.prompts
            assert [instruction(name).name for name in row.instructions] == list(row.instructions)


def test_with_everything_there_the_commands_say_so_and_name_the_seed_that_is_lacking(made):
    done = made.reproduce()
    states = {step.command.split()[1]: (step.have, step.of) for step in done.steps if step.makes == "stores"}
    assert all(have == of for have, of in states.values())
    heads = [(step.have, step.of) for step in done.steps if step.makes == "heads"]
    assert heads == [(12, 18), (2, 3), (2, 3), (2, 3)]


def test_an_empty_cache_names_every_command_and_shows_what_is_published(lab, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = lab.reproduce(["2", "5"], test="raf-db", cache="here")
    assert [step.command for step in done.steps] == [
        "expclip extract caer-s --features clip_image --features llm --clip ViT-B-32 --clip ViT-B-16 --clip ViT-L-14 "
        "--teacher blip2-flan-t5-xxl --instruction related-1 --cache here",
        "expclip fit-head --train caer-s --clip ViT-B-32 --clip ViT-B-16 --clip ViT-L-14 --cache here",
        "expclip extract raf-db --features clip_image --clip ViT-B-32 --clip ViT-B-16 --clip ViT-L-14 --cache here",
        "expclip extract raf-db --features llm --teacher blip2-flan-t5-xxl --instruction related-1 --cache here",
        "expclip evaluate raf-db --clip ViT-B-32 --clip ViT-B-16 --clip ViT-L-14 --prompts P-3 --cache here",
        "expclip evaluate raf-db --prompts P-3 --image llm --text llm --cache here",
    ]
    assert all(step.have == 0 < step.of for step in done.steps)
    cells = {(row.row.backbone, row.row.method): row.cells[0] for row in done.tables[0].rows}
    assert cells["ViT-L-14", "CLIP"].published == (47.22, 41.13)
    assert cells["ViT-L-14", "Exp-CLIP"].published == (58.70, 65.37)
    for backbone, named in (("ViT-L-14", ""), ("ViT-B-16", " --clip ViT-B-16")):  # the default needs no mention
        without_features, without_head = (cells[backbone, method].why_not for method in ("CLIP", "Exp-CLIP"))
        assert f"has nothing of raf-db: run `expclip extract raf-db --features clip_image{named} --cache here`" in (
            without_features
        )
        assert f"there is no such head: run `expclip fit-head --train caer-s{named} --cache here`" in without_head


def test_another_teacher_instruction_kind_of_head_or_protocol_is_in_the_commands_that_need_it(lab):
    done = lab.reproduce(["3", "4"], clip="ViT-B-16", teacher="blip2-flan-t5-xl", protocol="paper", test="raf-db")
    fits = [step.command for step in done.steps if step.makes == "heads"]
    assert [command.partition(" --head ")[2].split()[0] for command in fits[1:]] == ["mlp2", "mlp3", "transformer"]
    assert "--instruction related-1 --instruction related-2 --instruction related-3" in fits[0]
    assert all("--clip ViT-B-16 --teacher blip2-flan-t5-xl" in command for command in fits)
    assert all("--protocol paper" in step.command for step in done.steps)


def test_a_row_that_cannot_be_scored_does_not_take_the_others_with_it(made):
    (table,) = made.reproduce("A", clip=["miniature", "ViT-B-32"]).tables
    assert {bool(row.cells[0].uar) for row in table.rows if row.row.backbone == "miniature"} == {True}
    assert {bool(row.cells[0].why_not) for row in table.rows if row.row.backbone == "ViT-B-32"} == {True}


def test_the_published_numbers_of_another_teacher_or_training_set_are_not_shown(lab, photos):
    for setting in ({"teacher": "blip2-flan-t5-xl"}, {"train": photos}):
        (table,) = lab.reproduce("2", **setting).tables
        published = {row.row.method: row.cells[0].published is not None for row in table.rows}
        assert published == {"CLIP": True, "Exp-CLIP": False}


def test_a_difference_is_our_mean_less_the_published_number():
    cell = Cell("raf-db", uar=(58.0, 60.0), war=(64.0, 66.0), published=(58.7, 65.37))
    assert cell.difference == pytest.approx((0.3, -0.37))
    assert Cell("raf-db", published=(1, 2)).difference is None


def test_tables_for_people_and_for_programs_tell_the_same(made, tmp_path):
    (filled,) = made.reproduce("4", out=tmp_path / "out").tables
    table, notes = as_text(filled)
    content = json.loads(json.dumps(as_json(filled)))
    assert [row["head"] for row in content["rows"]] == ["mlp2", "mlp3", "transformer", "linear"]
    for line, row in zip(table.rows, content["rows"], strict=True):
        ours = row["cells"][0]["ours"]
        assert line[2].startswith(f"{ours['uar']['mean']:.2f} ± {ours['uar']['deviation']:.2f}")
        assert len(ours["uar"]["seeds"]) == 2
        assert "batch_size 16 (default 512)" in row["remark"]
    assert any("batch_size 16 (default 512)" in note for note in notes)
    text = (tmp_path / "out" / "tables.md").read_text(encoding="utf-8")
    assert table.rows[0][2] in text
    assert "- `expclip extract" in text


def test_of_heads_that_were_trained_differently_those_with_the_defaults_are_meant(lab, photos):
    usual = optimiser_of(FitHead(train="photos"), "miniature")
    (row,) = [row for row in paper.rows_of("1", ["miniature"]) if row.needs_head]
    request = Reproduce(**MINIATURE, train=photos)
    for spec in ({"optimiser": usual | {"epochs": 2}}, {"weights": "imported"}, {"optimiser": usual}):
        latest = _put(lab, spec)
        assert PaperHeads(lab.workspace, request).by_seed(row) == [(latest,)]
    _put(lab, {"optimiser": usual, "clip_image": "features that were extracted anew"})
    with pytest.raises(UsageError, match="heads of several recipes fit"):
        PaperHeads(lab.workspace, request).by_seed(row)


def _put(lab: Lab, spec: dict) -> HeadCard:
    """A head of the photos in the cache, with a made-up recipe."""
    names = {"backbone": "miniature", "teacher": "miniature", "instruction": "related-1", "train": "photos"}
    what = {"head": "linear", "objective": "infonce", "clip_digest": "", "protocol": "released"}
    card = HeadCard(id=head_id(spec), seed=1, untrained=False, spec=spec, fitted="today", **names, **what)
    save_head(lab.cache.heads, card, {"weight": np.eye(2, dtype=np.float32)})
    return card


def test_an_unknown_table_is_refused(lab):
    with pytest.raises(UsageError, match="the paper has no table 'C' of scores: choose 1, 2, 3, 4, 5, A or B"):
        lab.reproduce("C")
