"""Heads that come from elsewhere and go elsewhere, and what is refused of them."""

import json
import pickle
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from expclip import UsageError
from expclip.cli import app
from expclip.commands.heads import ExportHead, ImportHead, ListHeads
from expclip.stages.heads import export_head, import_head, list_heads
from lab import Lab
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

MINIATURE = {"clip": "miniature", "teacher": "miniature"}
SCORING = {"clip": "miniature", "prompts": "P-3"}
ORIGIN = MINIATURE | {"features": "photos", "train": "photos", "seed": 1}


@pytest.fixture
def features(lab, photos) -> Lab:
    """A lab whose cache has the features of the photos."""
    lab.extract(photos, **MINIATURE, instruction="related-1")
    return lab


@pytest.fixture
def fitted(features, photos):
    """A linear and a two-layer head."""
    return features.fit_head(photos, **MINIATURE, head=["linear", "mlp2"], seed=1, epochs=2, batch_size=16)


def bring(lab: Lab, file: Path, **origin):
    """Import a head into the lab's cache: its folder and card."""
    return import_head(ImportHead(file=file, **origin, cache=lab.cache.root))


def hand_over(lab: Lab, head: str, file: Path, square: bool = False):
    """Export a head of the lab's cache: the file and its card."""
    return export_head(ExportHead(head=head, file=file, square=square, cache=lab.cache.root))


def cards_in(lab: Lab):
    """The cards of all heads of the lab's cache."""
    heads = list_heads(ListHeads(cache=lab.cache.root))
    assert [path for path, _ in heads] == [lab.cache.heads / card.id for _, card in heads]
    return [card for _, card in heads]


def similarity(lab: Lab, data, head: str) -> np.ndarray:
    """(samples, classes) behind a head."""
    (found,) = lab.evaluate(data, **SCORING, head=head).predictions
    return found.similarity


def weight_of(one) -> np.ndarray:
    return load_file(one.path / "head.safetensors")["weight"]


RELEASED = {
    "bare": lambda w: w,
    "weight": lambda w: {"weight": w},
    "module": lambda w: {"module.weight": w},
    "projection_head": lambda w: {"projection_head.weight": w},
    "wrapped": lambda w: {"epoch": 5, "state_dict": {"module.projection_head.weight": w}},
    "zero bias": lambda w: {"weight": w, "bias": torch.zeros(len(w))},
    "half": lambda w: {"weight": w.half()},
}


@pytest.mark.parametrize("form", RELEASED)
def test_a_released_head_scores_as_its_matrix(features, labelled, tmp_path, form):
    weight = torch.randn(256, 128, generator=torch.Generator().manual_seed(0)).half().float()
    torch.save(RELEASED[form](weight), tmp_path / "head.pth")
    path, card = bring(features, tmp_path / "head.pth", **ORIGIN)
    np.testing.assert_array_equal(load_file(path / "head.safetensors")["weight"], weight.numpy())
    (found,) = features.evaluate(labelled, **SCORING, head=card.id).scores
    of = found.of
    assert (of.head, of.objective, of.teacher, of.instruction) == ("linear", "infonce", "miniature", "related-1")
    assert (of.train, of.seed, of.untrained) == ("photos", 1, False)


def test_importing_twice_is_one_head_and_another_origin_another(features, tmp_path):
    torch.save({"weight": torch.ones(256, 128)}, tmp_path / "head.pth")
    first, again, other = (
        bring(features, tmp_path / "head.pth", **origin)[1]
        for origin in (ORIGIN, ORIGIN, ORIGIN | {"instruction": "empty"})
    )
    assert first.id == again.id != other.id
    assert {card.id for card in cards_in(features)} == {first.id, other.id}


class Trap:
    """Runs code when it is unpickled."""

    sprung = False

    def __reduce__(self):
        return (setattr, (Trap, "sprung", True))


def test_nothing_is_unpickled(features, tmp_path):
    torch.save({"weight": torch.ones(4, 128), "more": Trap()}, tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes(pickle.dumps(Trap(), protocol=2))
    said = {"a.pth": "holds more than tensors .*, and that is not unpickled", "b.pth": "none that torch.save writes"}
    for name, message in said.items():
        with pytest.raises(UsageError, match=f"{name}: .*{message}"):
            bring(features, tmp_path / name, **ORIGIN)
    assert not Trap.sprung


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"weight": torch.ones(4, 96)}, r"the head is a matrix \(4, 96\), and miniature has embeddings of 128"),
        ({"weight": torch.ones(4, 128), "bias": torch.ones(4)}, r"without bias; here are weight \(4, 128\), bias"),
        (
            {"a.weight": torch.ones(4, 128), "b.weight": torch.ones(4, 4)},
            r"one matrix .* here are a.weight .* b.weight",
        ),
        ({"a": torch.ones(4)}, r"one matrix .* here are a \(4,\)"),
        ({"note": "nothing"}, "here are no tensor"),
        ({"weight": torch.full((4, 128), torch.nan)}, "not finite"),
    ],
)
def test_what_is_no_linear_head_of_these_features_is_refused(features, tmp_path, content, said):
    torch.save(content, tmp_path / "head.pth")
    with pytest.raises(UsageError, match=said):
        bring(features, tmp_path / "head.pth", **ORIGIN)


def test_a_file_that_cannot_be_read_is_refused(features, tmp_path):
    torch.save({"weight": torch.ones(4, 128)}, tmp_path / "whole.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:300])
    (tmp_path / "cut.safetensors").write_bytes(b"x" * 30)
    for name in ("cut.pth", "cut.safetensors", "missing.pth"):
        with pytest.raises(UsageError, match=name):
            bring(features, tmp_path / name, **ORIGIN)


def test_a_bare_file_needs_to_be_told_what_it_belongs_to(features, labelled, tmp_path):
    torch.save({"weight": torch.ones(256, 128)}, tmp_path / "head.pth")
    with pytest.raises(UsageError, match="Give features DATASET, ") as told:
        bring(features, tmp_path / "head.pth")
    needed, recorded = told.value.as_typed.split("--train")[0].split("--objective")[0], told.value.as_typed
    assert all(name in needed for name in ("--features DATASET", "--clip", "--teacher", "--instruction"))
    assert recorded.endswith("--objective, --train and --seed are only recorded")
    with pytest.raises(UsageError, match="run `expclip extract photos --features clip_image --clip ViT-B-32 --cache"):
        bring(features, tmp_path / "head.pth", **ORIGIN | {"clip": "ViT-B-32"})
    with pytest.raises(UsageError, match="run `expclip heads import"):
        similarity(features, labelled, str(tmp_path / "head.pth"))


def bring_ones(lab: Lab, folder: Path, rows: int, **said):
    """The card of an imported head with a matrix (rows, 128)."""
    torch.save({"weight": torch.ones(rows, 128)}, folder / "head.pth")
    return bring(lab, folder / "head.pth", **ORIGIN | said)[1]


@pytest.mark.parametrize(
    ("rows", "teacher", "width"),
    [(40, "miniature", 256), (256, "blip2-flan-t5-xxl", 4096), (4096, "Salesforce/blip2-flan-t5-xl", 2048)],
)
def test_a_head_that_leads_elsewhere_than_to_its_teacher_is_refused(features, tmp_path, rows, teacher, width):
    said = rf"leads to {rows} numbers .*\({rows}, 128\)\), and e_G of {teacher} has {width}: .* with teacher$"
    with pytest.raises(UsageError, match=said):
        bring_ones(features, tmp_path, rows, teacher=teacher)


def test_a_head_of_its_teachers_width_or_of_a_teacher_of_unknown_width_is_taken(features, tmp_path):
    assert bring_ones(features, tmp_path, 256).teacher == "miniature"
    assert bring_ones(features, tmp_path, 4096, teacher="blip2-flan-t5-xxl").teacher == "blip2-flan-t5-xxl"
    assert bring_ones(features, tmp_path, 7, teacher="some/blip2").teacher == "some/blip2"
    square = bring_ones(features, tmp_path, 128)
    assert square.spec["form"] == "square"  # CLIP's width, which is not the teacher's


def test_the_width_of_a_teacher_is_known_without_its_features(lab, photos, tmp_path):
    lab.extract(photos, clip="miniature")
    with pytest.raises(UsageError, match="e_G of miniature has 256"):
        bring_ones(lab, tmp_path, 40)
    assert bring_ones(lab, tmp_path, 256).teacher == "miniature"


def test_what_is_said_of_a_file_that_says_itself_what_it_is_changes_nothing(features, fitted, tmp_path):
    file = tmp_path / "head.safetensors"
    hand_over(features, fitted[0].card.id, file)
    words = ["heads", "import", str(file), "--teacher", "blip2-flan-t5-xl", "--cache", str(tmp_path / "elsewhere")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert f"note: --teacher blip2-flan-t5-xl: {file} says itself what head it is, so it changes" in result.stderr


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_square_head_predicts_the_same(features, fitted, labelled, clips, tmp_path, suffix):
    file = tmp_path / f"square{suffix}"
    hand_over(features, fitted[0].card.id, file, square=True)
    _, card = bring(features, file, **ORIGIN if suffix == ".pth" else {})
    small, large = (
        load_file(features.cache.heads / i / "head.safetensors")["weight"] for i in (card.id, fitted[0].card.id)
    )
    assert (small.shape, large.shape) == ((128, 128), (256, 128))
    np.testing.assert_allclose(small.T @ small, large.T @ large, rtol=1e-4, atol=1e-5)
    for data in (labelled, clips):
        expected = similarity(features, data, fitted[0].card.id)
        for name in (card.id, *([str(file)] if suffix == ".safetensors" else [])):
            found = similarity(features, data, name)
            np.testing.assert_allclose(found, expected, atol=2e-6)
            assert (found.argmax(axis=1) == expected.argmax(axis=1)).all()


def test_a_square_head_of_a_rank_deficient_one_predicts_the_same(features, labelled, tmp_path):
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((300, 5)) @ rng.standard_normal((5, 128))
    torch.save({"weight": torch.from_numpy(weight)}, tmp_path / "flat.pth")
    _, flat = bring(features, tmp_path / "flat.pth", **ORIGIN | {"teacher": "some/blip2"})
    hand_over(features, flat.id, tmp_path / "square.safetensors", square=True)
    found, expected = (similarity(features, labelled, n) for n in (str(tmp_path / "square.safetensors"), flat.id))
    np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize("which", [0, 1])
def test_an_exported_file_is_scored_where_it_is_and_imported_as_what_it_was(
    features, fitted, labelled, clips, tmp_path, which
):
    one = fitted[which]
    file = tmp_path / "handed over" / "head.safetensors"
    hand_over(features, one.card.id, file)
    for data in (labelled, clips):
        np.testing.assert_array_equal(similarity(features, data, str(file)), similarity(features, data, one.card.id))
    path, card = bring(features.but(cache=tmp_path / "elsewhere"), file)
    assert (card.imported, card.original_id) == (True, one.card.id)
    origin = next(known for known in cards_in(features) if known.id == one.card.id)
    new = {"id": card.id, "imported": True, "original_id": origin.id, "step_losses": ""}  # a file has no curve
    assert card == replace(origin, **new)
    assert card.id != origin.id
    for name, value in load_file(one.path / "head.safetensors").items():
        np.testing.assert_array_equal(load_file(path / "head.safetensors")[name], value)


def test_an_exported_torch_file_is_one_of_nn_linear(features, fitted, tmp_path):
    hand_over(features, fitted[0].card.id, tmp_path / "head.pth")
    layer = torch.nn.Linear(128, 256, bias=False)
    layer.load_state_dict(torch.load(tmp_path / "head.pth", weights_only=True))
    np.testing.assert_array_equal(layer.weight.detach().numpy(), weight_of(fitted[0]))


def test_what_cannot_be_exported_is_refused(features, fitted, tmp_path):
    with pytest.raises(UsageError, match=r"ends in \.pth or \.safetensors"):
        hand_over(features, fitted[0].card.id, tmp_path / "head.onnx")
    with pytest.raises(UsageError, match="only linear heads have a square equivalent"):
        hand_over(features, fitted[1].card.id, tmp_path / "head.pth", square=True)
    assert list(tmp_path.glob("head.*")) == []


def test_a_file_cannot_choose_the_folder_it_is_imported_to(features, fitted, tmp_path):
    card = asdict(fitted[0].card) | {"id": "../../outside"}
    file = tmp_path / "evil.safetensors"
    save_file({"weight": weight_of(fitted[0])}, file, metadata={"expclip": json.dumps(card)})
    path, card = bring(features, file)
    assert path == features.cache.heads / card.id
    assert path != fitted[0].path
    assert not (features.cache.root.parent / "outside").exists()


def test_a_card_from_before_there_were_other_heads_still_loads(features, fitted, labelled):
    new = asdict(fitted[0].card)
    known = ("id", "head", "objective", "backbone", "clip_digest", "teacher", "instruction", "protocol", "train")
    old = {name: new[name] for name in (*known, "seed", "untrained", "spec", "losses", "seconds", "fitted")}
    assert set(new["spec"]) == {"head", "objective", "optimiser", "seed", "clip_image", "llm", "failed_rows"}
    assert set(new["spec"]["optimiser"]) == {
        "name", "epochs", "batch_size", "lr", "momentum", "weight_decay", "precision"
    }  # fmt: skip
    (fitted[0].path / "head.json").write_text(json.dumps(old), encoding="utf-8")
    assert similarity(features, labelled, fitted[0].card.id).shape == (42, 7)


def test_a_kind_of_a_later_version_is_refused_by_name(features, fitted, labelled):
    card = asdict(fitted[0].card) | {"head": "quantum"}
    (fitted[0].path / "head.json").write_text(json.dumps(card), encoding="utf-8")
    with pytest.raises(UsageError, match="'quantum' head is unknown to this version, which has linear, mlp2"):
        similarity(features, labelled, fitted[0].card.id)


def test_the_commands_list_export_and_import(features, fitted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*arguments, cache):
        result = CliRunner().invoke(app, ["heads", *map(str, arguments), "--cache", str(cache)])
        assert result.exit_code == 0, result.output
        return result.stdout

    here, there = features.cache.root, tmp_path / "there"
    assert [card["head"] for card in json.loads(run("list", "--json", cache=here))].count("mlp2") == 1
    run("export", fitted[0].card.id, "head.pth", "--square", cache=here)
    run("import", "head.pth", "--features", "photos", "--clip", "miniature", "--teacher", "miniature", cache=here)
    assert len(json.loads(run("list", "--json", cache=here))) == 3
    run("export", fitted[1].card.id, "head.safetensors", cache=here)
    imported = run("import", "head.safetensors", cache=there)
    (card,) = json.loads(run("list", "--json", cache=there))
    assert card["original_id"] == fitted[1].card.id
    assert str(there / "heads" / card["id"]) in imported
    listed = run("list", cache=there)
    assert card["id"] in listed
    assert "imported" in listed
