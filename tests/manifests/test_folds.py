"""What is learnt from for each fold: the complement of what it tests, whichever of the two lists says it."""

import numpy as np
from expclip.manifests.folds import folds_digest, learnt_by_fold
from expclip.manifests.manifest import Sample, image_manifest

FOLD_OF = {f"{k}.png": 1 + k % 3 for k in range(10)}


def manifest(tmp_path, samples):
    for name in FOLD_OF:
        (tmp_path / name).write_bytes(b"x")
    return image_manifest("faces", ("happiness",), [Sample(id, id, 0, fold) for id, fold in samples], tmp_path)


def ids(manifest, numbers: np.ndarray) -> set[str]:
    return {manifest.sample_ids[number] for number in numbers.tolist()}


def test_test_lists_and_train_lists_of_the_same_folds_say_the_same(tmp_path):
    tests = manifest(tmp_path, FOLD_OF.items())
    trains = manifest(tmp_path, [(name, k) for k in (1, 2, 3) for name, fold in FOLD_OF.items() if fold != k])
    for found, lists_train in ((tests, False), (trains, True)):
        learnt = learnt_by_fold(found, lists_train)
        assert {k: ids(found, numbers) for k, numbers in learnt.items()} == {
            k: {name for name, fold in FOLD_OF.items() if fold != k} for k in (1, 2, 3)
        }
    assert folds_digest(tests) == folds_digest(trains, lists_train=True)


def test_a_sample_that_two_folds_test_is_learnt_from_for_neither(tmp_path):
    found = manifest(tmp_path, [*FOLD_OF.items(), ("0.png", 2)])
    learnt = learnt_by_fold(found)
    assert ["0.png" in ids(found, learnt[k]) for k in (1, 2, 3)] == [False, False, True]


def test_other_folds_have_another_digest(tmp_path):
    first = manifest(tmp_path, FOLD_OF.items())
    moved = manifest(tmp_path, (FOLD_OF | {"0.png": 3}).items())
    assert folds_digest(first) != folds_digest(moved)


def test_without_folds_all_samples_are_learnt_from(tmp_path):
    found = manifest(tmp_path, [(name, 0) for name in FOLD_OF])
    assert {k: len(numbers) for k, numbers in learnt_by_fold(found).items()} == {0: 10}
