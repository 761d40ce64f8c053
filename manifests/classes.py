"""The emotion classes, in one order everywhere, and the words that data sets have for them.

One rule holds for folders and for lists. The name of a class and its word forms (happy, angry, fearful) mean the
class in any case, and so does its number. Looser words (joy, calm, mad) mean it too, unless the same data set has the
class itself or another such word for it: then each is a class of its own. All other words are the data set's own.
"""

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import UsageError, one_of, option, shown

_FORMS = {
    "happiness": "happy",
    "sadness": "sad",
    "neutral": "neutrality",
    "anger": "angry",
    "surprise": "surprised",
    "disgust": "disgusted",
    "fear": "fearful",
    "contempt": "contemptuous",
    "anxiety": "anxious",
    "helplessness": "helpless",
    "disappointment": "disappointed",
}
_LOOSER = {
    "happiness": "joy joyful smile smiling enjoyment",
    "sadness": "sorrow unhappy",
    "neutral": "natural calm normal expressionless",
    "anger": "mad rage",
    "fear": "afraid scared",
}
CLASSES = tuple(_FORMS)
"""The common classes in label order."""
MOST_CLASSES = 2**15 - 1
"""Of a data set: labels are numbers of 16 bits."""
MOST_COMPARED = 1000
"""In one evaluation: a confusion matrix of more helps nobody."""
COMMON = "common"
"""In place of class names: the common classes in their order."""

_CLASS_OF_FORM = {word: name for name in CLASSES for word in (name, *_FORMS[name].split())}
_CLASS_OF_LOOSER = {word: name for name, words in _LOOSER.items() for word in words.split()}
_INDEX_OF_NAME = {word: CLASSES.index(name) for word, name in (_CLASS_OF_FORM | _CLASS_OF_LOOSER).items()}
_INDEX_OF_NAME |= {str(index): index for index in range(len(CLASSES))}
_MOST_SAID = 50
"""Names of classes in one remark."""
_CLOSE = 0.75
"""How alike a word and a name of a class are (0 … 1) where one may be meant for the other."""


def class_index(name: str) -> int | None:
    """Index in `CLASSES` of what a word means by itself: a class's name in any case, a synonym, an index such as "3".

    None where the name is not a class, such as the clip number "00003". Alphabetical order plays no part. What words
    mean that stand beside each other in one data set, `class_names` says.
    """
    return _INDEX_OF_NAME.get(_plain(name))


def class_name(name: str) -> str:
    """The common name of what a word means by itself; the word in lower case where it has no common name."""
    index = class_index(name)
    return _plain(name) if index is None else CLASSES[index]


@dataclass(frozen=True)
class ClassNames:
    """What the words of one data set mean."""

    of: Mapping[str, str]
    """The class by word, as the word is written."""
    remarks: tuple[str, ...] = ()
    """Words that became one class, words that were kept apart, and classes that are the data set's own."""


def class_names(
    words: Iterable[str],
    classes: Sequence[str] | None = None,
    numbers: Sequence[str] = (),
    apart: Collection[str] = (),
) -> ClassNames:
    """The class that each word of one data set means, whatever their order, and remarks for who did not expect it.

    Where the data set has fixed `classes`, words mean what they mean by themselves. `numbers` are the classes that 0,
    1, … stand for, else the common ones. Words in `apart` are classes of their own.
    """
    words = sorted(dict.fromkeys(words))
    if len(words) > MOST_CLASSES:
        raise UsageError(
            f"{len(words):,} names of classes ({words[0]}, {words[1]}, …), and up to {MOST_CLASSES:,} can be told "
            f"apart: give the folder or the list whose classes are meant"
        )
    meaning = {word: _numbered(word, numbers) or _CLASS_OF_FORM.get(_plain(word)) for word in words}
    looser = {word: _CLASS_OF_LOOSER[_plain(word)] for word in words if _plain(word) in _CLASS_OF_LOOSER}
    itself = {name for word, name in meaning.items() if name and word not in looser}
    kept: dict[str, str] = {}
    named = {*apart, *numbers}
    for word, name in looser.items():
        others = {_plain(other) for other, same in looser.items() if same == name} - {_plain(word), *named}
        if _plain(word) in named:
            meaning[word] = _plain(word)
        elif classes is None and (name in itself or others):
            kept[_plain(word)] = name
            meaning[word] = _plain(word)
        else:
            meaning[word] = name
    of = {word: meaning[word] or _plain(word) for word in words}
    own = {name for name in of.values() if name not in (*CLASSES, *kept, *numbers)} if classes is None else ()
    return ClassNames(of, (*_merged(of), *_kept_apart(kept), *_own(own)))


def numbered_classes(words: Sequence[str]) -> tuple[str, ...]:
    """The classes that the label numbers 0, 1, … stand for, as words name them; `common` names the common ones.

    Raises UsageError for a word that is almost the name of a class, and for two words for one class.
    """
    if are_common(words):
        return CLASSES
    for word in words:
        if close := nearest_class(word):
            raise UsageError(f"{option('classes')}: {word.strip()}: did you mean {close}?")
    return _each_once(words, class_names(words))


def refuse_unreadable(word: str, where: str) -> None:
    """Raise UsageError for the name of a class that is no text: it goes into prompts and files."""
    if any("\ud800" <= letter <= "\udfff" for letter in word):
        raise UsageError(
            f"{where}: the name of a class, {shown(word)}, is not UTF-8: save the list as such, or rename it"
        )


def order_of(numbers: Sequence[str], words: Sequence[str]) -> tuple[str, ...]:
    """The classes that some label numbers stand for where the user names classes; () is the common ones.

    Where the numbers are more than the names, these do not say what numbers mean, but which classes are told apart.
    """
    order = numbered_classes(words) if numbers and words else ()
    return order if all(is_number(number) and int(number) < len(order) for number in numbers) else ()


def said_order(order: Sequence[str]) -> list[str]:
    """A remark on what numbers mean, where that is not the common order."""
    meanings = ", ".join(f"{number} {name}" for number, name in enumerate(order))
    is_common = tuple(order) == CLASSES[: len(order)]
    return [] if is_common else [f"numbers were read as the classes are named: {meanings}"]


def chosen_classes(words: Sequence[str], has: Collection[str], known: Collection[str] = ()) -> tuple[str, ...]:
    """The names of the classes that words choose among those that a data set has.

    A common class may be chosen though the data set does not have it, and so may one that is `known` of another.
    `common` and no words choose nothing: (). Raises UsageError for a word that is neither, with the nearest name, and
    for two words for one class.
    """
    if not words or are_common(words):
        return ()
    names = class_names(words, apart=[name for name in has if name not in CLASSES])
    for word, name in names.of.items():
        if name not in (*has, *known, *CLASSES):
            close = nearest_class(word, (*has, *known))
            hint = f"did you mean {close}?" if close else f"choose {one_of(dict.fromkeys((*has, *known, *CLASSES)))}"
            raise UsageError(f"{option('classes')}: no data set here has the class {word.strip()}: {hint}")
    return _each_once(words, names)


def _each_once(words: Sequence[str], names: ClassNames) -> tuple[str, ...]:
    found = tuple(names.of[word] for word in words)
    for name in found:
        if found.count(name) > 1:
            said = " and ".join(word.strip() for word in words if names.of[word] == name)
            raise UsageError(f"{option('classes')}: {said} name one class, {name}: write it once")
    return found


def how_to_number(classes: Sequence[str] = CLASSES) -> str:
    """How to say what label numbers mean, as the end of a message that says what else can be done."""
    said = option("classes")
    return (
        f"or say what they mean: {said} {COMMON} says that 0 … {len(classes) - 1} are the common order, and {said} "
        f"A,B,… names them from 0 on"
    )


def nearest_class(word: str, names: Iterable[str] = ()) -> str:
    """The class whose name is almost a word, "" where there is none or the word is a class itself."""
    known = {name: name for name in names} | _CLASS_OF_FORM
    said = _plain(word)
    if said in known or said in _INDEX_OF_NAME:
        return ""
    close = difflib.get_close_matches(said, known, n=1, cutoff=_CLOSE)
    return known[close[0]] if close else ""


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


def is_number(word: str) -> bool:
    """Whether a word is a number as people write one: "3", but neither "03" nor "³"."""
    return word.isascii() and word.isdigit() and str(int(word[:9])) == word


def are_common(words: Sequence[str]) -> bool:
    """Whether `common` is all that somebody says of the classes."""
    return [_plain(word) for word in words] == [COMMON]


def _plain(word: str) -> str:
    return word.strip().lower()


def _numbered(word: str, numbers: Sequence[str]) -> str | None:
    said, order = _plain(word), numbers or CLASSES
    return order[int(said)] if is_number(said) and int(said) < len(order) else None


def _merged(of: Mapping[str, str]) -> Iterable[str]:
    """Words that differ in more than case and became one class."""
    by_class: dict[str, dict[str, str]] = {}
    for word, name in of.items():
        by_class.setdefault(name, {}).setdefault(_plain(word), word)
    merged = {name: list(words.values()) for name, words in by_class.items() if len(words) > 1}
    if merged:
        yield "read as one class: " + "; ".join(
            f"{', '.join(merged[name])} ({name})" for name in class_set(merged) if name in merged
        )


def _kept_apart(kept: Mapping[str, str]) -> Iterable[str]:
    if kept:
        words = ", ".join(f"{word} ({name})" for word, name in sorted(kept.items()))
        yield (
            f"{words}: each a class of its own here, since the data set has the class in brackets, or another word "
            f"for it, too; give them one name if they are one class"
        )


def _own(own: Collection[str]) -> Iterable[str]:
    close = {name: nearest_class(name) for name in sorted(own)[:_MOST_SAID]}
    if close:
        said = ", ".join(f"{name} (did you mean {meant}?)" if meant else name for name, meant in close.items())
        said += f" and {len(own) - len(close):,} more" if len(own) > len(close) else ""
        yield f"{said}: not common classes, and taken as the data set's own"
