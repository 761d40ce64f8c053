"""The classes that the user wants told apart, whatever a data set has."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from .classes import chosen_classes
from .manifest import NO_LABEL, Manifest
from .remarks import count_of


def with_classes(manifest: Manifest, names: Sequence[str], known: Collection[str] = ()) -> Manifest:
    """The same data set, in which exactly the named classes are told apart, in the order in which they are named.

    Samples of other classes have no label, which is a remark. `("common",)` and no names leave a data set as it is,
    and so does one without labels. `known` are classes that another data set of the same command has. Raises
    UsageError for a name that is no class of either, nor a common one.
    """
    chosen = chosen_classes(names, manifest.classes, known) if manifest.classes else ()
    if not chosen:
        return manifest
    new = [chosen.index(name) if name in chosen else NO_LABEL for name in manifest.classes]
    labels = np.array([*new, NO_LABEL], dtype=np.int16)[manifest.labels]  # the last stands for NO_LABEL itself
    lost = manifest.labels[(labels == NO_LABEL) & (manifest.labels != NO_LABEL)]
    remarks = manifest.remarks
    if len(lost):
        counts = Counter(manifest.classes[label] for label in lost.tolist())
        said = count_of(len(lost), "sample belongs", "samples belong")
        have = "has" if len(lost) == 1 else "have"
        each = ", ".join(f"{name}: {count:,}" for name, count in sorted(counts.items()))
        remarks = (*remarks, f"{said} to classes that are not told apart here and {have} no label ({each})")
    return replace(manifest, classes=chosen, labels=labels, remarks=remarks)
