"""The cache folder: which data sets, manifests, stores and heads it holds, and choosing among them."""

import os
import re
import shutil
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from ..aside import sweep
from ..errors import ExpclipError, UsageError, option, reason
from ..manifests.manifest import NOT_ON_DISK, Manifest, Rows
from ..manifests.own_output import MARKER, mark_output
from .claims import remove_dead
from .entries import CURRENT, Entry, read_entry, write_entry
from .files import flush, new_folder, writing
from .header import Header
from .keys import slug
from .manifest_store import read_manifest, rows_digest_of, write_manifest
from .select import matches
from .store import FeatureStore

TEXT = "text"
"""The folder of all text features."""
ROOMS = ("heads", "builtin", "weights.json")
"""What lies beside the data sets in a cache."""
WEIGHTS_MEMORY, FRAMES_MEMORY = FILE_MEMORIES = ("weights.json", ".frames.json")
"""Files that remember the digests of weights, and how many frames videos have."""


class Cache:
    """A folder of features. Nothing in it is ever changed in place; files are only replaced."""

    def __init__(self, root: Path):
        self.root = root.expanduser().absolute()
        self._texts: dict[Path, Manifest] = {}
        """The manifests of texts that were read: a name stands for one content."""
        self.unreadable_texts: dict[Path, str] = {}
        """Those that could not be read, and why; where their texts are needed they are written again."""
        if self.root.is_file():
            raise UsageError(f"{option('cache')} {root}: this is a file; a folder is needed")

    @property
    def builtin(self) -> Path:
        return self.root / "builtin"

    @property
    def heads(self) -> Path:
        return self.root / "heads"

    @property
    def is_begun(self) -> bool:
        """Whether features or heads were put here; weights that are remembered and faces that are drawn are none."""
        return os.path.lexists(self.root / MARKER) or self.heads.is_dir() or bool(self.datasets())

    def datasets(self) -> list[str]:
        """Names of the data sets that have features or a manifest here, `text` included."""
        if not self.root.is_dir():
            return []
        folders = (path for path in sorted(self.root.iterdir()) if path.is_dir() and not path.name.startswith("."))
        return [path.name for path in folders if any(path.glob("*.zarr"))]

    def is_only_begun(self, folder: str) -> bool:
        """Whether a folder has a manifest alone: who made it was killed before it noted whose it is."""
        place = self.root / folder
        is_noted = folder == TEXT or (place / CURRENT).exists()
        return not is_noted and all(path.name.startswith("manifest-") for path in place.glob("*.zarr"))

    def mark(self) -> None:
        """Make the folder, and say in it that it is no data: it may lie in somebody's folder of pictures."""
        with writing(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            mark_output(self.root, "cache")

    def sweep(self) -> None:
        """Remove what dead processes left behind beside data sets, stores and heads."""
        for folder in (self.root, self.heads, *(self.root / name for name in self.datasets())):
            sweep(folder)

    def tidy(self, stores: Collection[Path]) -> None:
        """Remove what dead processes left behind where some stores are, also of those that were nearly done."""
        receipts = {store.with_suffix(".receipts") for store in stores}
        for folder in {self.root, *(store.parent for store in stores), *receipts}:
            sweep(folder)
        for folder in receipts:
            remove_dead(folder)

    # Manifests

    def save_manifest(self, manifest: Manifest) -> None:
        """Keep a manifest, as the data set's current one; of texts there are as many manifests as runs."""
        is_text = manifest.kind == "texts"
        folder = self.root / (TEXT if is_text else manifest.folder)
        final = folder / f"manifest-{manifest.digest[:12]}.zarr"
        if final.exists() and not _is_readable(final):
            shutil.rmtree(final, ignore_errors=True)
        if not final.exists():
            with new_folder(final) as temporary:
                write_manifest(temporary, manifest)
                flush(temporary)
        if not is_text:
            write_entry(folder, manifest, final.name)

    def entry(self, folder: str) -> Entry | None:
        """What is noted of the data set that a folder keeps."""
        return read_entry(self.root / folder)

    def entries(self) -> list[Entry]:
        """What is noted of each data set."""
        found = (self.entry(folder) for folder in self.datasets())
        return [entry for entry in found if entry is not None]

    def current_manifest(self, folder: str) -> Manifest | None:
        """The manifest of a data set as it was last read; None if it never was."""
        entry = self.entry(folder)
        if entry is None:
            return None
        try:
            manifest = read_manifest(self.root / folder / entry.manifest, entry.root)
        except Exception as error:
            raise ExpclipError(
                f"{self.root / folder}: its manifest cannot be read ({reason(error)}): run `expclip extract`"
            ) from error
        return replace(manifest, origin=entry.origin)

    def readings(self, folder: str) -> Iterator[Manifest]:
        """Every manifest of a data set that is kept and can be read."""
        for path in sorted((self.root / folder).glob("manifest-*.zarr")):
            try:
                yield read_manifest(path, "")
            except Exception:  # a damaged one, which `verify` finds
                continue

    def manifest_of(self, folder: str, rows_digest: str) -> Manifest | None:
        """The current manifest of a data set, if it has the rows of a given digest."""
        manifest = self.current_manifest(folder)
        return manifest if manifest is not None and manifest.rows.digest == rows_digest else None

    def rows_of_digest(self, folder: str, rows_digest: str) -> Rows | None:
        """The rows of a digest, by the manifest that is kept in a data set's folder; None where there is none."""
        for path in (self.root / folder).glob("manifest-*.zarr"):
            if rows_digest_of(path) == rows_digest:
                try:
                    return read_manifest(path, "").rows
                except Exception:  # a damaged manifest: nothing is known of these rows
                    return None
        return None

    def texts(self) -> dict[str, Manifest]:
        """The manifests of all texts that have features here and can be read, by the digest of their rows."""
        known = [self._texts_of(path) for path in sorted((self.root / TEXT).glob("manifest-*.zarr"))]
        return {one.rows.digest: one for one in known if one is not None}

    def _texts_of(self, path: Path) -> Manifest | None:
        if path not in self._texts:
            try:
                self._texts[path] = read_manifest(path, "")
            except Exception as error:  # zarr has no single error for what is damaged
                self.unreadable_texts[path] = reason(error)
                return None
            self.unreadable_texts.pop(path, None)
        return self._texts[path]

    # Stores

    def store_path(self, header: Header) -> Path:
        """Where the store with this key is, or will be. The model's name in it only makes it human-readable."""
        folder = self.root / header.dataset
        for path in folder.glob(f"{header.node}-*-{header.key[:12]}.zarr"):
            return path
        return folder / f"{header.node}-{slug(header.model)}-{header.key[:12]}.zarr"

    def store_of(self, header: Header, manifest: Manifest) -> Path:
        """Where the store with this key is, in the folder of its data set or of another with the same files."""
        own = self.store_path(header)
        if own.exists() or manifest.kind == "texts":
            return own
        found = self.root.glob(f"[!.]*/{header.node}-*-{header.key[:12]}.zarr")
        return next((path for path in sorted(found) if self.serves(path.parent.name, manifest)), own)

    def of_key(self, node: str, key: str) -> FeatureStore | None:
        """The store of a node with a key, whichever data set it was made for."""
        if not (isinstance(key, str) and re.fullmatch("[0-9a-f]{64}", key)):
            return None
        folders = sorted({path.parent.name for path in self.root.glob(f"[!.]*/{node}-*-{key[:12]}.zarr")})
        return next((store for folder in folders for store in self.stores(folder) if store.header.key == key), None)

    def serves(self, folder: str, manifest: Manifest) -> bool:
        """Whether features that another data set of the cache has may be taken for those of the same rows.

        They may where its files are the same ones, or are there no more: the data set was moved. Two folders that are
        both there may hold different pictures under the same names and sizes; they are copies where the times of all
        files are the same too.
        """
        there = self.root_of(folder)
        if folder == manifest.folder or there == "":
            return True
        if there is None:
            return False
        sizes = zip(manifest.rows.sources, manifest.rows.sizes.tolist(), strict=True)
        sources = dict.fromkeys(source for source, size in sizes if size != NOT_ON_DISK)
        if there == manifest.origin.root:
            return True
        times = [(_time_of(Path(there) / one), _time_of(Path(manifest.origin.root) / one)) for one in sources]
        left = [(other, own) for other, own in times if other is not None]
        return not left or (len(set(left)) > 1 and all(other == own for other, own in left))

    def root_of(self, folder: str) -> str | None:
        """The folder of the files of a data set, resolved as it was; "" where none is noted.

        None where nothing is noted at all: nobody knows whose such features are.
        """
        entry = self.entry(folder)
        if entry is None:
            return None
        return entry.origin.root or (str(Path(entry.root).resolve()) if entry.root else "")

    def open_store(self, header: Header) -> FeatureStore | None:
        """The store of a header where it exists."""
        path = self.store_path(header)
        return FeatureStore.open(path) if path.exists() else None

    def create_store(self, header: Header) -> FeatureStore:
        return FeatureStore.create(self.store_path(header), header)

    def stores(self, dataset: str | None = None) -> Iterator[FeatureStore]:
        """All feature stores that can be read, or those of one data set."""
        return (found for _, found in self.opened(dataset) if isinstance(found, FeatureStore))

    def unreadable(self) -> Iterator[tuple[Path, ExpclipError]]:
        """What is named like a store and cannot be read as one, and why."""
        return ((path, found) for path, found in self.opened() if isinstance(found, ExpclipError))

    def opened(self, dataset: str | None = None) -> Iterator[tuple[Path, FeatureStore | ExpclipError]]:
        """What is named like a store: the store, or why it cannot be read."""
        for name in [dataset] if dataset else self.datasets():
            for path in sorted((self.root / name).glob("*.zarr")):
                if not path.name.startswith("manifest-"):
                    try:
                        found = FeatureStore.open(path)
                    except ExpclipError as error:
                        found = error
                    yield path, found

    def find(self, dataset: str | None, node: str, **wanted: str) -> list[FeatureStore]:
        """The stores of a node, of one data set or of any, whose headers have the wanted values; complete or not."""
        return [store for store in self.stores(dataset) if matches(store.header, node, wanted)]

    def of_manifest(self, manifest: Manifest, node: str, **wanted: str) -> Iterator[list[FeatureStore]]:
        """The stores of a node for the rows of a manifest: first those of its data set, then of any that serves."""
        wanted = {"rows_digest": manifest.rows.digest} | wanted
        own = self.find(manifest.folder, node, **wanted)
        yield own
        keys = {store.header.key for store in own}
        others = [store for store in self.find(None, node, **wanted) if store.header.key not in keys]
        serve = {folder: self.serves(folder, manifest) for folder in {store.path.parent.name for store in others}}
        yield [store for store in others if serve[store.path.parent.name]]


def _is_readable(manifest: Path) -> bool:
    try:
        read_manifest(manifest, "")
    except Exception:  # zarr has no single error for what is damaged
        return False
    return True


def _time_of(path: Path) -> int | None:
    """When a file was changed last, in nanoseconds; None where it is not there."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None
