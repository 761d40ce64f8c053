"""The folds of a data set: what is learnt from for each of them."""

import hashlib
from functools import lru_cache

import numpy as np

from .manifest import NO_FOLD, Manifest


def learnt_by_fold(manifest: Manifest, lists_train: bool = False) -> dict[int, np.ndarray]:
    """For each fold the numbers of the samples to learn from: those that it does not test.

    Of a data set without folds it is all samples, by 0. A data set
    lists what each fold tests, or, where it `lists_train`, what each trains on.
    """
    folds = [fold for fold in np.unique(manifest.folds).tolist() if fold != NO_FOLD]
    if not folds:
        return {NO_FOLD: np.arange(len(manifest))}
    if lists_train:
        return {fold: np.flatnonzero(manifest.folds == fold) for fold in folds}
    of_fold: dict[int, set[str]] = {fold: set() for fold in (*folds, NO_FOLD)}
    for sample, fold in zip(manifest.sample_ids, manifest.folds.tolist(), strict=True):
        of_fold[fold].add(sample)
    is_learnt = {fold: [sample not in of_fold[fold] for sample in manifest.sample_ids] for fold in folds}
    return {fold: np.flatnonzero(known) for fold, known in is_learnt.items()}


@lru_cache(maxsize=8)
def folds_digest(manifest: Manifest, lists_train: bool = False) -> str:
    """SHA-256 of which samples are learnt from for each fold: the same by test lists and by their complements."""
    sha = hashlib.sha256()
    for fold, numbers in learnt_by_fold(manifest, lists_train).items():
        ids = sorted({manifest.sample_ids[number] for number in numbers.tolist()})
        sha.update("\0".join([str(fold), *ids, ""]).encode("utf-8", "surrogateescape"))
    return sha.hexdigest()
