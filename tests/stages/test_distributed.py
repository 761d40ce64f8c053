"""The nine data sets as they are distributed: what is read, what an audit finds, and the traps that it catches."""

from collections import Counter
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import pytest
import trees
from expclip import UsageError
from expclip.commands.datasets import Audit
from expclip.manifests.catalogue import catalogue
from expclip.manifests.classes import CLASSES
from expclip.manifests.manifest import NO_LABEL, Manifest
from expclip.stages import datasets
from lab import Lab
from sklearn.metrics import accuracy_score, recall_score


@pytest.fixture
def root(tmp_path) -> Path:
    """Where all data sets are looked for."""
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def lab(tmp_path, root) -> Lab:
    """An empty cache, and all data sets below one root."""
    return Lab(tmp_path / "cache", root=dict.fromkeys(catalogue(), root), batch_size=8)


def read(lab: Lab, name: str) -> Manifest:
    workspace = lab.workspace
    return workspace.read(workspace.dataset(name))


def audit(lab: Lab, name: str) -> Audit:
    return datasets.audit(lab.workspace, name)


def labels_of(manifest) -> dict[str, str]:
    names = [manifest.classes[label] if label != NO_LABEL else "" for label in manifest.labels.tolist()]
    return dict(zip(manifest.sample_ids, names, strict=True))


def is_about_counts(remark: str) -> bool:
    return remark.endswith("are published")


@pytest.mark.parametrize("layout", trees.TREES)
def test_a_data_set_as_distributed_has_its_labels_in_the_common_order_and_a_clean_audit(lab, root, layout):
    name = layout.partition(",")[0]
    tree = trees.TREES[layout](root)
    manifest = read(lab, name)
    found = audit(lab, name)
    assert labels_of(manifest) == tree
    assert (found.errors, found.samples) == ([], len(tree))
    assert all(is_about_counts(remark) or "left out" in remark for remark in found.remarks)
    published = catalogue()[name].splits[lab.workspace.dataset(name).ref.split]
    for name_of_class, count in published.counts.items():
        here = found.counts[name_of_class]
        line = f"{name_of_class}: {here:,} sample{'s' * (here != 1)}, {count:,} are published"
        assert (line in found.remarks) == (here != count)


@pytest.mark.parametrize("layout", [layout for layout in trees.TREES if layout != "caer-s"])
def test_a_data_set_as_distributed_is_extracted_and_scored_by_fold(lab, root, layout):
    name = layout.partition(",")[0]
    tree = trees.TREES[layout](root)
    found = lab.evaluate(name, clip="miniature", head="none", prompts="P-1", intervals=False)
    (predictions,) = found.predictions
    manifest = predictions.manifest
    of_fold: dict[int, list[tuple[str, str]]] = {}
    for sample, predicted in zip(predictions.samples.tolist(), predictions.predicted.tolist(), strict=True):
        pair = tree[manifest.sample_ids[sample]], manifest.classes[predicted]
        of_fold.setdefault(int(manifest.folds[sample]), []).append(pair)
    assert sum(map(len, of_fold.values())) == len(tree)
    expected = {}
    for fold, pairs in of_fold.items():
        truth, predicted = zip(*pairs, strict=True)
        recall = recall_score(truth, predicted, labels=sorted(set(truth)), average="macro", zero_division=0)
        expected[str(fold) if fold else "all"] = 100 * recall, 100 * accuracy_score(truth, predicted)
    if len(expected) > 1:
        expected["mean"] = tuple(np.mean(list(expected.values()), axis=0))
    assert {one.fold: (one.uar, one.war) for one in found.scores} == {
        fold: pytest.approx(scores) for fold, scores in expected.items()
    }


def test_caer_s_is_extracted_for_training_and_cannot_be_scored(lab, root):
    tree = trees.TREES["caer-s"](root)
    lab.extract("caer-s", clip="miniature", features="clip_image")
    features = lab.open_features("caer-s", model="miniature")
    assert features.array.shape == (len(tree), 128)
    assert features.mask.all()
    with pytest.raises(UsageError, match="caer-s has no labels"):
        lab.evaluate("caer-s", clip="miniature")


@pytest.mark.parametrize("name", [name for name in trees.TREES if name not in ("caer-s", "ferplus, table")])
def test_the_same_samples_may_come_in_a_list_file(lab, tmp_path, name):
    entry = catalogue()[name]
    tree = trees.TREES[name](tmp_path / "elsewhere")
    for fold in range(1, max(1, len(entry.splits["test"].folds)) + 1):
        listed = list(tree.items())[fold - 1 :: max(1, len(entry.splits["test"].folds))]
        frames = 1 if entry.kind == "images" else 2
        file = f"{name}-test-{fold}.txt" if entry.splits["test"].folds else f"{name}-test.txt"
        trees.text(tmp_path / "elsewhere" / file, [f"{path} {frames} {label}" for path, label in listed])
    for folder in ("EmoLabel", "EmoLabel_DataSplit", "4_setups", "single", "val_set/annotations"):
        if (tmp_path / "elsewhere" / folder).exists():
            (tmp_path / "elsewhere" / folder).rename(tmp_path / "away")
    for votes in (tmp_path / "elsewhere").rglob("label.csv"):
        votes.unlink()
    lab = lab.but(root={name: tmp_path / "elsewhere"})
    assert labels_of(read(lab, name)) == tree


@pytest.mark.parametrize("name", [name for name, entry in catalogue().items() if entry.classes and not entry.builtin])
def test_the_same_classes_may_come_as_folders(lab, root, name):
    entry = catalogue()[name]
    for label in CLASSES[: entry.classes]:
        if entry.kind == "images":
            trees.picture(root / "test" / label.upper() / "a.png")
        else:
            trees.clip(root / "test" / label.upper() / "a clip", 3)
    manifest = read(lab, name)
    assert manifest.kind == entry.kind
    assert sorted(labels_of(manifest).values()) == sorted(CLASSES[: entry.classes])
    assert audit(lab, name).errors == []


def test_a_five_fold_set_is_its_distinct_rows_and_its_train_part_has_every_clip_four_times(lab, root):
    tree = trees.dfew(root)
    for fold in range(1, 6):
        others = [path[-5:].lstrip("0") for path in tree if path[-3] != str(fold)]
        table = root / "EmoLabel_DataSplit/train(single-labeled)" / f"set_{fold}.csv"
        trees.text(table, ["video_name,label", *(f"{one},{int(one) % 100}" for one in others)])
    test, train = (read(lab, name) for name in ("dfew", "dfew:train"))
    assert (len(test), len(train)) == (35, 4 * 35)
    assert Counter(train.folds.tolist()) == dict.fromkeys(range(1, 6), 28)
    assert sorted(train.rows.sources) == sorted(test.rows.sources)
    assert all(is_about_counts(remark) for remark in audit(lab, "dfew:train").remarks)


@pytest.mark.parametrize("name", ["raf-db", "ferv39k", "ferplus"])
def test_train_and_test_parts_are_disjoint(lab, root, name):
    trees.TREES["ferplus, table" if name == "ferplus" else name](root)
    test, train = (read(lab, one) for one in (name, f"{name}:train"))
    assert not set(test.sample_ids) & set(train.sample_ids)
    assert len(train) == {"raf-db": 1, "ferv39k": 7, "ferplus": 1}[name]
    assert not any("test samples" in remark for remark in audit(lab, f"{name}:train").remarks)


def test_affectnets_train_part_is_read_like_its_test_part(lab, root):
    trees.affectnet(root, "train_set")
    assert len(read(lab, "affectnet-8:train")) == 8


def test_pictures_that_are_rows_of_a_table_are_encoded_like_files(lab, root):
    trees.ferplus_table(root)
    result = lab.extract("ferplus", clip="miniature")
    features = lab.open_features("ferplus", model="miniature")
    assert not result.failed
    assert features.ids == tuple(f"fer2013.csv[{row}]" for row in range(2, 10))
    assert len(np.unique(features.array[:, 0])) == 8


def test_folders_numbered_alphabetically_are_refused_where_the_data_set_has_other_numbers(lab, root):
    for number in range(8):
        trees.picture(root / f"val_set/{number}/a.png")
    with pytest.raises(UsageError, match=r"AffectNet-8 has label numbers of its own.* alphabetical numbers circ"):
        audit(lab, "affectnet-8")


def test_folders_by_number_are_always_remarked_with_the_order_in_which_they_were_read(lab, tmp_path):
    for number in range(7):
        trees.picture(tmp_path / f"faces/{number}/a.png")
    (remark,) = audit(lab, str(tmp_path / "faces")).remarks
    assert remark.startswith("class folders by number were read in the order happiness, sadness, neutral, anger")
    assert "alphabetically" in remark


def numbered_lists(root, name, order):
    """Lists with the published counts a class, whose labels are numbers in some order; one clip is on disk."""
    split = catalogue()[name].splits["test"]
    trees.clip(root / "here", 1)
    lines = [f"here 1 {order.index(label)}" for label, count in split.counts.items() for _ in range(count)]
    folds = len(split.folds) or 1
    for fold in range(1, folds + 1):
        file = f"{name}-test-{fold}.txt" if split.folds else f"{name}-test.txt"
        trees.text(root / file, list(islice(lines, fold - 1, None, folds)))


def numbering_remarks(found) -> list[str]:
    return [remark for remark in found.remarks if "numbered in another order" in remark]


@pytest.mark.parametrize("name", ["dfew", "ferv39k", "mafw"])
def test_labels_in_alphabetical_order_are_caught_by_their_counts(lab, root, name):
    order = sorted(CLASSES[: catalogue()[name].classes])
    numbered_lists(root, name, order)
    (remark,) = numbering_remarks(audit(lab, name))
    assert remark.startswith(f"the labels seem to be numbered in another order, alphabetical ({', '.join(order)})")


def test_the_other_order_of_mafw_is_caught_by_its_counts(lab, root):
    own = catalogue()["mafw"].other_orders["MAFW's own"]
    numbered_lists(root, "mafw", own)
    (remark,) = numbering_remarks(audit(lab, "mafw"))
    assert "another order, MAFW's own (anger, disgust, fear, happiness" in remark


@pytest.mark.parametrize("name", ["dfew", "mafw"])
def test_labels_in_the_common_order_are_not_suspected(lab, root, name):
    numbered_lists(root, name, CLASSES)
    found = audit(lab, name)
    assert numbering_remarks(found) == []
    assert found.counts == dict(catalogue()[name].splits["test"].counts)


def test_affectnets_alphabetical_numbers_are_caught_in_its_train_part(lab, root):
    counts = catalogue()["affectnet-8"].splits["train"].counts
    order = sorted(counts)
    trees.picture(root / "a.png")
    lines = [f"a.png 1 {order.index(label)}" for label, count in counts.items() for _ in range(count // 100)]
    trees.text(root / "affectnet-8-train.txt", lines)
    assert numbering_remarks(audit(lab, "affectnet-8:train")) == []  # a hundredth is too little to tell
    trees.text(root / "affectnet-8-train.txt", list(islice(cycle(lines), 100 * len(lines))))
    (remark,) = numbering_remarks(audit(lab, "affectnet-8:train"))
    assert "another order, alphabetical (anger, contempt, disgust" in remark


def test_the_wrong_file_of_votes_is_caught_by_its_number_of_samples(lab, root):
    """fer2013new.csv gives 3,153 test samples, label.csv the published 3,137."""
    trees.picture(root / "FER2013Test/a.png")
    row = ",".join(map(str, trees.votes(1)))
    lines = [f"PrivateTest,a.png,{row}"] * 3153
    trees.text(root / "fer2013new.csv", [trees.VOTE_HEADER.strip(), *lines])
    assert (
        "3,153 samples, 3,137 are published: these are the votes of fer2013new.csv; "
        "the published number is that of FER2013Test/label.csv"
    ) in audit(lab, "ferplus").remarks


def test_folds_that_overlap_are_a_remark(lab, root):
    trees.dfew(root)
    table = root / "EmoLabel_DataSplit/test(single-labeled)/set_2.csv"
    table.write_text(table.read_text() + "101,1\n")
    assert "1 sample is in more than one fold (first: Clip/clip_224x224/00101)" in audit(lab, "dfew").remarks


def test_train_clips_among_the_test_clips_of_their_fold_are_a_remark(lab, root):
    trees.dfew(root)
    for fold in range(1, 6):
        table = root / "EmoLabel_DataSplit/train(single-labeled)" / f"set_{fold}.csv"
        trees.text(table, [f"{one},1" for one in (201, 301)])
    assert (
        "2 samples are test samples of the same fold too (first: Clip/clip_224x224/00201 of fold 2)"
        in audit(lab, "dfew:train").remarks
    )


def test_fewer_frames_than_the_list_says_fail_and_more_are_a_remark(lab, root):
    for clip, frames in (("1_1_1", 2), ("1_1_2", 9)):
        trees.clip(root / "validation/Anger" / clip, frames)
    lists = [f"/data/my films/AFEW/AFEW_Face/validation/Anger/{clip} 5 3" for clip in ("1_1_1", "1_1_2")]
    trees.text(root / "annotation/AFEW_validation.txt", lists)
    found = audit(lab, "afew")
    assert found.errors == ["validation/Anger/1_1_1: 3 of the frames that the list promises are missing"]
    assert [remark.partition("validation")[2] for remark in found.remarks if "frames on disk" in remark] == [
        "/Anger/1_1_2: 9 on disk, 5 in the list)",
        "/Anger/1_1_1: 2 on disk, 5 in the list)",
    ]


RELEASED = {
    "dfew": ("annotation/DFEW_set_{fold}_test.txt", "DFEW/DFEW_Frame_Face/00001 3 1", "Clip/clip_224x224/00001"),
    "ferv39k": (
        "annotation/FERV39k_test.txt",
        "{far}2_ClipsforFaceCrop/War/Sad/0004 3 1",
        "2_ClipsforFaceCrop/War/Sad/0004",
    ),
    "mafw": ("annotation/MAFW_set_{fold}_test.txt", "{far}MAFW/data/faces/00025 3 1", "data/faces/00025"),
    "afew": (
        "annotation/AFEW_validation.txt",
        "{far}AFEW/AFEW_Face/validation/Sadness/1_1 3 1",
        "validation/Sadness/1_1",
    ),
}


@pytest.mark.parametrize("far", ["", "/home/some one/data sets/", "D:\\films\\"])
@pytest.mark.parametrize("name", RELEASED)
def test_released_lists_are_read_wherever_they_were_made(lab, root, name, far):
    file, line, source = RELEASED[name]
    for fold in range(1, 6):
        trees.text(root / file.format(fold=fold), [line.format(far=far)])
    trees.clip(root / source, 3)
    manifest = read(lab, name)
    assert labels_of(manifest) == {source: "sadness"}
    assert manifest.rows.sources == tuple(f"{source}/{frame:03d}.png" for frame in (1, 2, 3))
