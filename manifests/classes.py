"""The emotion classes, in one order everywhere, and the names data sets give them."""

CLASSES = (
    "happiness",
    "sadness",
    "neutral",
    "anger",
    "surprise",
    "disgust",
    "fear",
    "contempt",
    "anxiety",
    "helplessness",
    "disappointment",
)

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

_INDEX_OF_NAME = {
    word: index for index, name in enumerate(CLASSES) for word in (name, *_SYNONYMS[name].split(), str(index))
}


def class_index(name: str) -> int | None:
    """Index in `CLASSES` of a class name in any case, a common synonym, or an explicit index such as "3".

    None where the name says no class, such as the clip number "00003". Alphabetical order never decides.
    """
    return _INDEX_OF_NAME.get(name.strip().lower())


def smallest_class_set(labels: list[int]) -> tuple[str, ...]:
    """The smallest of the common class sets (7, 8 or 11 classes) that holds every label."""
    highest = max(labels, default=0)
    return CLASSES[: next(size for size in (7, 8, len(CLASSES)) if highest < size)]
