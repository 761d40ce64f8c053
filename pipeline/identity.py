"""Which data set is meant: a name or a path on one side, what is on disk and in the cache on the other.

A path has a title, which others may have too, and an identity: the folder or list itself, resolved, and of a list the
folder of its files. The rules are those of docs/datasets.md.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..cache.cache import Cache
from ..cache.entries import Entry
from ..errors import UsageError, option
from ..manifests.catalogue import DataSetRef, parse_dataset, plain_name
from ..manifests.disk import kind_of
from ..manifests.manifest import Origin


@dataclass(frozen=True)
class Known:
    """A data set that the user named: on disk, in the cache, or both."""

    ref: DataSetRef
    origin: Origin
    """Its identity, the folder of the cache that keeps it or would, and what it is called in this command."""
    files: Path | None
    """The folder of its files; None where that is unknown, and for built-in sets, which know theirs."""
    entry: Entry | None
    """What the cache has of it."""
    others: tuple[Entry, ...] = ()
    """Other copies of a named data set that the cache has, where the command does not say which it means."""

    @property
    def folder(self) -> str:
        return self.origin.folder

    @property
    def label(self) -> str:
        return self.origin.label or self.ref.name

    @property
    def is_gone(self) -> bool:
        """Whether what the user named is not on disk any more."""
        return self.ref.path is not None and kind_of(self.ref.path) == "missing"


class DataSets:
    """The data sets of one command, by what was typed. Those that are named together are told apart in its answer."""

    def __init__(self, cache: Cache, roots: Mapping[str, Path], texts: Sequence[str] = ()):
        self._cache = cache
        self._roots = roots
        """Folders by catalogue name, and of lists by what was typed."""
        folders = cache.datasets()
        self._entries = {entry.folder: entry for entry in cache.entries()}
        self._titles = {*folders, *(entry.title for entry in self._entries.values())}
        taken = [folder for folder in folders if not cache.is_only_begun(folder)]
        self._taken: dict[str, tuple[str, str]] = dict.fromkeys(map(str.casefold, taken), _NOBODY)
        self._taken |= {name.casefold(): _owner(entry) for name, entry in self._entries.items()}
        """Whose each folder is: an identity, the root of what an older version extracted, or nobody knows whose."""
        self._of_identity: dict[tuple[str, str], Known] = {}
        self._found: dict[str, Known] = {}
        found = {text: self._find(text) for text in dict.fromkeys(texts)}
        labels = distinct_labels(found.values())
        for text, known in found.items():
            origin = replace(known.origin, label=labels[known.folder])
            self._found[text] = replace(known, origin=origin)

    def __getitem__(self, text: str) -> Known:
        """The data set that the user named. Raises UsageError where there is none, or where several may be meant."""
        if text not in self._found:
            self._found[text] = self._find(text)
        return self._found[text]

    def _find(self, text: str) -> Known:
        ref = parse_dataset(text, self._titles)
        if ref.path is None:
            return self._of_catalogue(ref)
        inside = ref.path.absolute()
        if Path(resolved(inside.parent)) == self._cache.root.resolve() and (kept := self._entries.get(inside.name)):
            return _kept(ref, kept)
        kind = kind_of(ref.path)
        return self._gone(ref) if kind == "missing" else self._here(ref, text, kind == "file")

    def _of_catalogue(self, ref: DataSetRef) -> Known:
        """The copy of a named data set at the root that is given, else the one that the cache has."""
        given = self._roots.get(ref.root_name)
        copies = [one for one in self._entries.values() if one.title == ref.name and not one.origin.path]
        entry = self._entries.get(ref.name)
        if given is None and len(copies) > 1:
            entry = max(copies, key=lambda one: one.origin.read)
            others = tuple(one for one in copies if one is not entry)
            return Known(ref, replace(entry.origin, label="", stamp="", read=""), Path(entry.root), entry, others)
        if given is None or entry is None or ref.published is None or (ref.entry and ref.entry.builtin):
            files = given or (Path(entry.root) if entry and entry.root else None)
            return Known(ref, Origin(root=resolved(files) if files else "", folder=ref.name), files, entry)
        origin = Origin(root=resolved(given), folder=ref.name)
        there = entry.origin.root or (resolved(Path(entry.root)) if entry.root else "")
        if there in ("", origin.root) or kind_of(Path(there)) == "missing":
            return Known(ref, origin, given, entry)
        folder = f"{ref.name}-{origin.digits}"
        return Known(ref, replace(origin, folder=folder), given, self._entries.get(folder))

    def _here(self, ref: DataSetRef, text: str, is_list: bool) -> Known:
        assert ref.path is not None
        path = resolved(ref.path)
        files = self._root_of_list(ref.path, text) if is_list else self._roots.get(text, ref.path).absolute()
        origin = Origin(path, resolved(files))
        known = self._of_identity.get(origin.identity)
        if known is None:
            entry = next((one for one in self._entries.values() if one.origin.identity == origin.identity), None)
            entry = entry or self._of_older_version(ref, files)
            folder = entry.folder if entry else self._folder(ref.name, origin)
            self._taken[folder.casefold()] = origin.identity
            known = Known(ref, replace(origin, folder=folder), files, entry)
            self._of_identity[origin.identity] = known
        title = known.entry.title if known.entry else known.ref.name
        return replace(known, ref=ref if ref.is_titled else replace(ref, name=title))

    def _root_of_list(self, path: Path, text: str) -> Path:
        """The folder of a list's files: as it is given now, or else as the cache has it, or else the list's own."""
        given = self._roots.get(text)
        if given is not None:
            return given.expanduser().absolute()
        known = [entry for entry in self._entries.values() if entry.origin.path == resolved(path)]
        there = [entry for entry in known if kind_of(Path(entry.root)) != "missing"] or known
        if len(there) > 1:
            raise UsageError(
                f"{path}: the cache has this list with several roots: give {option('root')} if the command has it, "
                f"or one of {self._shown(there)}"
            )
        return Path(there[0].root) if there else path.absolute().parent

    def _shown(self, entries: Iterable[Entry]) -> str:
        """Data sets by their folders of the cache, by which each can be named."""
        return ", ".join(f"{self._cache.root / entry.folder} (of {entry.described})" for entry in entries)

    def _of_older_version(self, ref: DataSetRef, files: Path) -> Entry | None:
        """What was extracted from this path before identities were noted: title and folder of files are its own."""
        entry = self._entries.get(ref.name)
        if entry is None or not entry.root or entry.origin.path or self._taken[ref.name.casefold()] != _owner(entry):
            return None
        return entry if resolved(Path(entry.root)) == resolved(files) else None

    def _folder(self, title: str, origin: Origin) -> str:
        """The title, or the title and six digits of the identity where the title belongs to another."""
        owner = self._taken.get(title.casefold(), origin.identity)
        return title if owner == origin.identity else f"{title}-{origin.digits}"

    def _gone(self, ref: DataSetRef) -> Known:
        """A path that is not there any more: itself, or the only data set that its last parts or its title fit."""
        assert ref.path is not None
        entries = list(self._entries.values())
        path, tail = resolved(ref.path), _without_suffix(ref.path)
        ways = (
            [entry for entry in entries if entry.origin.path == path],
            [
                entry
                for entry in entries
                if len(tail) > 1 and _without_suffix(Path(entry.where))[-len(tail) :] == tail
            ],
            [entry for entry in entries if entry.title == ref.name],
            [entry for entry in entries if entry.folder == ref.name],
        )
        found = next((some for some in ways if some), [])
        if len(found) > 1 and len({entry.manifest for entry in found}) == 1:
            with_stores = [entry for entry in found if next(self._cache.stores(entry.folder), None)]
            found = with_stores or found[:1]  # one without is the same data set, which was moved
        if len(found) > 1:
            raise UsageError(
                f"{ref.path} is not there, and several data sets of the cache may be meant: give one of "
                f"{self._shown(found)}"
            )
        if found:
            return _kept(ref, found[0])
        return Known(ref, Origin(path, folder=ref.name), None, None)


_NOBODY = ("", "")


def _owner(entry: Entry) -> tuple[str, str]:
    return entry.origin.identity if entry.origin.path else ("", entry.root)


def _kept(ref: DataSetRef, entry: Entry) -> Known:
    """A data set as the cache has it; its files may be somewhere."""
    ref = replace(ref, name=ref.name if ref.is_titled else entry.title)
    if entry.origin.path and kind_of(Path(entry.origin.path)) != "missing":
        ref = replace(ref, path=Path(entry.origin.path))
    files = Path(entry.root) if entry.root else None
    return Known(ref, replace(entry.origin, label="", stamp="", read=""), files, entry)


def resolved(path: Path) -> str:
    """A path without links. Raises UsageError where the disk does not say."""
    kind_of(path)
    return str(path.expanduser().resolve())


def _without_suffix(path: Path) -> tuple[str, ...]:
    return (*path.parent.parts, path.stem)


def distinct_labels(known: Iterable[Known]) -> dict[str, str]:
    """What data sets are called beside one another, by their folders.

    Their titles; where these are alike, with as many parents as tell them apart, and as a last resort with digits of
    their identity. No two labels make the same name of a file.
    """
    distinct = {one.folder: one for one in known}
    alike: dict[str, list[Known]] = defaultdict(list)
    for one in distinct.values():
        alike[_slug(one.ref.name)].append(one)
    labels = {folder: label for some in alike.values() for folder, label in _with_parents(some).items()}
    slugs = [_slug(label) for label in labels.values()]
    return {
        folder: f"{label}-{distinct[folder].origin.digits}"
        if distinct[folder].ref.path and slugs.count(_slug(label)) > 1
        else label
        for folder, label in labels.items()
    }


def _with_parents(alike: Sequence[Known]) -> dict[str, str]:
    """Titles with the fewest parents that tell data sets apart, as far as any do."""
    parents = [[plain_name(part) for part in Path(one.origin.path).parent.parts] for one in alike]
    labels: list[str] = []
    for depth in range(max(map(len, parents)) + 1):
        kept = [some[len(some) - depth :] if depth else [] for some in parents]
        labels = ["/".join([*filter(None, some), one.ref.name]) for some, one in zip(kept, alike, strict=True)]
        if len(set(map(_slug, labels))) == len(labels):
            break
    else:
        labels = [one.ref.name for one in alike]
    return {one.folder: label for one, label in zip(alike, labels, strict=True)}


def _slug(label: str) -> str:
    """The name of a file as the least careful file system keeps it."""
    return plain_name(label).casefold()
