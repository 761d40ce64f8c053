"""The emotion classes, in one order everywhere, and the names data sets give them."""

from collections.abc import Collection

_SYNONYMS = {
    "happiness": "happy joy joyful smile smiling enjoyment",
    "sadness": "sad sorrow unhappy",
    "neutral": "neutrality natural calm normal expressionless",
    "anger": "angry mad rage",
    "surprise": "surprised",
    "disgust": "disgusted",
    "fear": "fearful afraid scared",
    "contempt": "contemptuous",
    "anxiety": "anxious",
    "helplessness": "helpless",
    "disappointment": "disappointed",
}
CLASSES = tuple(_SYNONYMS)
"""The common classes in label order."""

_INDEX_OF_NAME = {
    word: index for index, name in enumerate(CLASSES) for word in (name, *_SYNONYMS[name].split(), str(index))
}


def class_index(name: str) -> int | None:
    """Index in `CLASSES` of a class name in any case, a common synonym, or an explicit index such as "3".

    None where the name is not a class, such as the clip number "00003". Alphabetical order plays no part.
    """
    return _INDEX_OF_NAME.get(name.strip().lower())


def class_name(name: str) -> str:
    """The common name of a class; its own in lower case where it has no common name."""
    index = class_index(name)
    return name.strip().lower() if index is None else CLASSES[index]


def class_set(names: Collection[str]) -> tuple[str, ...]:
    """The classes of a data set whose classes have these names: the smallest common set that holds them all.

    Where some are not common classes, exactly these: the common ones in their order, then the others by name.
    """
    common = [CLASSES.index(name) for name in names if name in CLASSES]
    own = sorted(set(names) - set(CLASSES))
    return (*(CLASSES[index] for index in sorted(set(common))), *own) if own else smallest_class_set(common)


def smallest_class_set(labels: list[int]) -> tuple[str, ...]:
    """The smallest of the common class sets (7, 8 or 11 classes) that holds every label."""
    highest = max(labels, default=0)
    return CLASSES[: next(size for size in (7, 8, len(CLASSES)) if highest < size)]
