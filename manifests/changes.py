"""What is different between two readings of one data set."""

from collections import Counter

from .manifest import NO_LABEL, Manifest


def changes(before: Manifest, now: Manifest) -> str:
    """What changed between two manifests of a data set, in words; empty where nothing did."""
    old, new = _labels(before), _labels(now)
    both = old.keys() & new.keys()
    parts = {
        "labels changed": sum(old[one] != new[one] for one in both),
        "samples added": len(new.keys() - both),
        "samples removed": len(old.keys() - both),
        "files replaced": _replaced(before, now),
    }
    said = [
        f"{count:,} {what.replace('s ', ' ', 1) if count == 1 else what}" for what, count in parts.items() if count
    ]
    if before.classes != now.classes:
        said.append(
            f"the classes are {', '.join(now.classes) or 'none'} instead of {', '.join(before.classes) or 'none'}"
        )
    return ", ".join(said)


def _labels(manifest: Manifest) -> dict[tuple[str, int, int], str]:
    """The class of each sample, by its id, its fold and how often both came before."""
    times: Counter[tuple[str, int]] = Counter()
    found = {}
    names = (*manifest.classes, "")
    for sample, fold, label in zip(
        manifest.sample_ids, manifest.folds.tolist(), manifest.labels.tolist(), strict=True
    ):
        found[sample, fold, times[sample, fold]] = names[label] if label != NO_LABEL else ""
        times[sample, fold] += 1
    return found


def _replaced(before: Manifest, now: Manifest) -> int:
    """How many files have another size than before."""
    old, new = (dict(zip(one.rows.sources, one.rows.sizes.tolist(), strict=True)) for one in (before, now))
    return sum(old[source] != new[source] for source in old.keys() & new.keys())
