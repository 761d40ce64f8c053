"""The emotion classes, in one order everywhere, and the names data sets give them."""

from ..errors import UsageError

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

_INDEX_OF_NAME = {name: index for index, name in enumerate(CLASSES)} | {
    synonym: CLASSES.index(name) for name, synonyms in _SYNONYMS.items() for synonym in synonyms.split()
}


def class_index(name: str) -> int | None:
    """Index in `CLASSES` of a class name in any case, a common synonym, or an explicit index such as "3".

    None where the name says no class. Alphabetical order never decides.
    """
    word = name.strip().lower()
    if word.isascii() and word.isdigit() and int(word) < len(CLASSES):
        return int(word)
    return _INDEX_OF_NAME.get(word)


def smallest_class_set(labels: list[int]) -> tuple[str, ...]:
    """The smallest of the common class sets (7, 8 or 11 classes) that holds every label."""
    highest = max(labels, default=0)
    for size in (7, 8, 11):
        if highest < size:
            return CLASSES[:size]
    raise UsageError(f"label {highest} is outside the {len(CLASSES)} classes 0 … {len(CLASSES) - 1}")
