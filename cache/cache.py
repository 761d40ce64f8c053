"""The cache folder: which data sets, manifests, stores and heads it holds, and choosing among them."""

from collections.abc import Iterator
from pathlib import Path

from ..errors import ExpclipError, reason
from ..manifests.manifest import Manifest
from .files import flush, new_folder, read_json, write_json
from .header import Header
from .keys import slug
from .manifest_store import read_manifest, write_manifest
from .select import matches
from .store import FeatureStore

TEXT = "text"
"""The folder of all text features."""


class Cache:
    """A folder of features. Nothing in it is ever changed in place; files are only replaced."""

    def __init__(self, root: Path):
        self.root = root.expanduser().absolute()

    @property
    def builtin(self) -> Path:
        return self.root / "builtin"

    @property
    def heads(self) -> Path:
        return self.root / "heads"

    def datasets(self) -> list[str]:
        """Names of the data sets that have features or a manifest here, `text` included."""
        if not self.root.is_dir():
            return []
        folders = (path for path in sorted(self.root.iterdir()) if path.is_dir() and not path.name.startswith("."))
        return [path.name for path in folders if any(path.glob("*.zarr"))]

    # Manifests

    def save_manifest(self, manifest: Manifest) -> None:
        """Keep a manifest, as the data set's current one; of texts there are as many manifests as runs."""
        is_text = manifest.kind == "texts"
        folder = self.root / (TEXT if is_text else manifest.name)
        final = folder / f"manifest-{manifest.digest[:12]}.zarr"
        if not final.exists():
            with new_folder(final) as temporary:
                write_manifest(temporary, manifest)
                flush(temporary)
        current = {"manifest": final.name, "root": manifest.root}
        if not is_text and read_json(folder / "current.json") != current:
            write_json(folder / "current.json", current)

    def current_manifest(self, dataset: str) -> Manifest | None:
        """The manifest of a data set as `extract` last read it; None if it never did."""
        folder = self.root / dataset
        pointer = read_json(folder / "current.json")
        if pointer is None:
            return None
        try:
            return read_manifest(folder / Path(pointer["manifest"]).name, pointer["root"])
        except Exception as error:
            raise ExpclipError(
                f"{folder}: its manifest cannot be read ({reason(error)}): run `expclip extract`"
            ) from error

    def manifest_of(self, dataset: str, rows_digest: str) -> Manifest | None:
        """The current manifest of a data set, if it has the rows of a given digest."""
        manifest = self.current_manifest(dataset)
        return manifest if manifest is not None and manifest.rows.digest == rows_digest else None

    def texts(self) -> dict[str, Manifest]:
        """The manifests of all texts that have features here, by the digest of their rows."""
        found: dict[str, Manifest] = {}
        for path in sorted((self.root / TEXT).glob("manifest-*.zarr")):
            try:
                manifest = read_manifest(path, "")
            except Exception as error:
                raise ExpclipError(
                    f"{path}: these texts cannot be read ({reason(error)}): remove the folder"
                ) from error
            found[manifest.rows.digest] = manifest
        return found

    # Stores

    def store_path(self, header: Header) -> Path:
        """Where the store with this key is, or will be. The model's name in it only makes it human-readable."""
        folder = self.root / header.dataset
        for path in folder.glob(f"{header.node}-*-{header.key[:12]}.zarr"):
            return path
        return folder / f"{header.node}-{slug(header.model)}-{header.key[:12]}.zarr"

    def open_store(self, header: Header) -> FeatureStore | None:
        """The store of a header where it exists."""
        path = self.store_path(header)
        return FeatureStore.open(path) if path.exists() else None

    def create_store(self, header: Header) -> FeatureStore:
        return FeatureStore.create(self.store_path(header), header)

    def stores(self, dataset: str | None = None) -> Iterator[FeatureStore]:
        """All feature stores that can be read, or those of one data set."""
        return (found for _, found in self._opened(dataset) if isinstance(found, FeatureStore))

    def unreadable(self) -> Iterator[tuple[Path, ExpclipError]]:
        """What is named like a store and cannot be read as one, and why."""
        return ((path, found) for path, found in self._opened() if isinstance(found, ExpclipError))

    def _opened(self, dataset: str | None = None) -> Iterator[tuple[Path, FeatureStore | ExpclipError]]:
        for name in [dataset] if dataset else self.datasets():
            for path in sorted((self.root / name).glob("*.zarr")):
                if not path.name.startswith("manifest-"):
                    try:
                        found = FeatureStore.open(path)
                    except ExpclipError as error:
                        found = error
                    yield path, found

    def find(self, dataset: str, node: str, **wanted: str) -> list[FeatureStore]:
        """The stores of a data set and node whose headers have the wanted values; complete or not."""
        return [store for store in self.stores(dataset) if matches(store.header, node, wanted)]
