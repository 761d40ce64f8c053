"""What is done about each kind of damage, and what makes anew what is withdrawn."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..aside import beside, remove
from ..cache.cache import TEXT
from ..cache.entries import changed_entry, write_entry
from ..cache.files import discard, read_json, writing
from ..cache.keys import digest
from ..cache.manifest_store import read_manifest
from ..cache.store import DESCRIPTION, FeatureStore
from ..cache.verify import Finding
from ..commands import command
from ..commands.extract import Extract
from ..commands.fit_head import FitHead
from ..commands.keeping import RepairCache
from ..encoders.dtypes import PartDTypes
from ..encoders.families import as_asked
from ..encoders.node import NODES
from ..errors import ExpclipError
from ..heads.card import HeadCard
from ..heads.objectives import OBJECTIVES
from ..heads.saving import known_card
from ..manifests.catalogue import catalogue
from ..manifests.classes import class_set
from ..manifests.frames import POLICIES
from ..manifests.manifest import Manifest
from ..manifests.prompts import DESCRIPTIONS, PROMPT_SETS, instruction
from ..manifests.reading import ORDERS
from ..pipeline.extractions import extract_requests
from ..pipeline.needs import Need
from ..pipeline.workspace import Workspace
from ..reports.console import say
from .from_clips import learns_more

_OF_STEPS = ("epochs", "batch_size", "lr", "momentum", "weight_decay", "precision")
_OF_FITTING = (*_OF_STEPS, "ridge_lambda", "balanced", "validation")

Part = tuple[str, int | None]
"""Which rows are asked for: `--part` and `--limit`."""
ALL: Part = ("1/1", None)


class Mender:
    """Withdraws what is damaged, one after another, and knows what makes it anew."""

    def __init__(self, workspace: Workspace):
        self._workspace = workspace
        self._lacks: dict[Part, dict[Need, str]] = defaultdict(dict)
        """What is missing now of which rows, and the encoder digest of what was there."""
        self._had: dict[Path, dict[int, int]] = {}
        """How many rows of which shards stores had before anything was withdrawn."""
        self._fits: list[FitHead] = []
        self._mends: dict[str, Callable[[Finding], str]] = {
            "shard": self._shard,
            "receipt": self._receipt,
            "description": self._description,
            "store": self._store,
            "manifest": self._manifest,
            "entry": self._entry,
            "memory": _remove,
            "head": self._head,
        }
        self.unmade: list[str] = []

    def mend(self, finding: Finding) -> str:
        """Do something about one kind of damage; says what."""
        with writing(finding.place):
            return self._mends[finding.kind](finding)

    @property
    def commands(self) -> list[str]:
        """What makes it anew, in order."""
        return [request.command() for request in (*(one for one, _ in self._extractions()), *self._fits)]

    def _extractions(self) -> Iterator[tuple[Extract, dict[Need, str]]]:
        """Requests that make what is missing and nothing else, each with its share of that."""
        for (part, limit), needs in self._lacks.items():
            for some in _alike(needs):
                for request in extract_requests(self._workspace, some):
                    share = {need: needs[need] for need in some if _makes(request, need)}
                    yield replace(request, part=part, limit=limit), share

    def run(self, request: RepairCache) -> None:
        """Run the commands; what another model would make is left missing."""
        for one, share in self._extractions():
            self._run(replace(one, root=request.root, device=request.device), share)
        for one in self._fits:
            self._run(one, {})

    def _run(self, request: Extract | FitHead, share: dict[Need, str]) -> None:
        say(f"$ {request.command()}")
        try:
            if isinstance(request, Extract):
                _refuse_other_models(request, share)
            command(request.verb).do(request)
        except ExpclipError as error:
            self.unmade.append(f"`{request.command()}`: {error.as_typed}")

    def _shard(self, finding: Finding) -> str:
        assert finding.shard is not None
        store = FeatureStore.open(finding.place)
        self._miss(store, finding.shard)
        store.receipts.withdraw(finding.shard)
        return "its receipt is withdrawn"

    def _receipt(self, finding: Finding) -> str:
        self._miss(FeatureStore.open(finding.place.parent.with_suffix(".zarr")), int(finding.place.stem))
        return _remove(finding)

    def _description(self, finding: Finding) -> str:
        """What zarr notes of an array follows from the header, unless another version of zarr wrote it."""
        store = FeatureStore.open(finding.place)
        with_it = beside(finding.place)
        try:
            made = FeatureStore.create(with_it / finding.place.name, store.header)
            array = made.path / "features" / "zarr.json"
            known = json.loads((store.path / "zarr.json").read_text(encoding="utf-8"))["attributes"]
            if digest(read_json(array)) != known.get(DESCRIPTION):
                return self._store(finding)
            array.replace(store.path / "features" / "zarr.json")
            (made.path / "zarr.json").replace(store.path / "zarr.json")
            return "its description is written again"
        finally:
            remove([with_it])

    def _store(self, finding: Finding) -> str:
        try:
            self._miss(FeatureStore.open(finding.place))
        except ExpclipError:
            self.unmade.append(
                f"{finding.place.name}: nobody knows with which options it was made: run `expclip extract` as before"
            )
        discard(finding.place.with_suffix(".receipts"), finding.place)
        return "it is removed"

    def _manifest(self, finding: Finding) -> str:
        self._miss_of_folder(finding.place.parent)
        discard(finding.place)
        return "the data set has to be read again"

    def _entry(self, finding: Finding) -> str:
        """Without the note the folder would be nobody's, and its features would be made again in another one."""
        folder = finding.place.parent
        manifest = _as_noted(folder)
        if manifest is None:
            self._cannot_make(folder)
            return _remove(finding)
        write_entry(folder, manifest, f"manifest-{manifest.digest[:12]}.zarr")
        return "it is written again"

    def _miss_of_folder(self, folder: Path) -> None:
        """A data set is read again with whatever is extracted of it."""
        store = next(self._workspace.cache.stores(folder.name), None)
        if store is not None:
            self._miss(store)

    def _miss(self, store: FeatureStore, shard: int | None = None) -> None:
        """A shard is missing, by default all that a store had."""
        header = store.header
        word = self._word(store.path.parent)
        if word is None:
            return
        parts = header.spec.get("precision")
        dtypes = parts if isinstance(parts, dict) else {"vision": parts}
        dtype, t5 = dtypes.get("vision"), dtypes.get("t5")
        if t5 is not None and PartDTypes("", dtype).t5 != t5:
            dtype = None  # no option says so; what is begun goes on in its own precision
        asked = _typed_instruction(header.instruction, header.spec.get("instruction"))
        known = NODES[header.node].has_instruction
        need = Need(word, header.node, header.model, asked if known else "")
        protocol = as_asked(header.protocol, NODES[header.node].role, header.model) if header.protocol else None
        need = replace(need, protocol=protocol, dtype=dtype)
        self._lacks[self._part(store, shard)][need] = header.encoder_digest

    def _part(self, store: FeatureStore, shard: int | None) -> Part:
        """Which rows are made again: of a store that never had all of them, no others than it had."""
        header = store.header
        had = self._had.setdefault(store.path, _rows_by_shard(store))
        if sum(had.values()) == header.rows:
            return ALL
        if shard is None or sorted(had) == list(range(len(had))):
            return "1/1", max((header.shard_rows(one).start + had[one] for one in had), default=1)
        is_whole = had[shard] == len(header.shard_rows(shard))
        return f"{shard + 1}/{header.shards}", None if is_whole else header.shard_rows(shard).start + had[shard]

    def _word(self, folder: Path) -> str | None:
        """What a data set is called on the command line; None for texts, and where nobody knows."""
        entry = self._workspace.cache.entry(folder.name)
        if entry is not None:
            return entry.origin.path or entry.title
        if folder.name in catalogue():
            return folder.name
        if folder.name != TEXT:  # which `expclip evaluate` encodes whenever it needs them
            self._cannot_make(folder)
        return None

    def _cannot_make(self, folder: Path) -> None:
        line = f"{folder}: nobody knows where this data set is: run `expclip extract` as before"
        self.unmade += [line] * (line not in self.unmade)

    def _head(self, finding: Finding) -> str:
        try:
            card = known_card(finding.place)
        except (OSError, ValueError):
            card = None
        if card is not None and not card.imported and card.train:
            self._fits.append(_fit(card, self._workspace.named_cache))
        else:
            self.unmade.append(f"{finding.place.name}: nobody knows how it came about: fit or import it as before")
        discard(finding.place)
        return "it is removed"


def _remove(finding: Finding) -> str:
    finding.place.unlink(missing_ok=True)
    return "it is removed"


def _alike(needs: Iterable[Need]) -> Iterator[list[Need]]:
    """Needs of which one request makes all and nothing else: those of data sets that lack the same."""
    by_dataset: dict[str, list[Need]] = defaultdict(list)
    for need in needs:
        by_dataset[need.dataset].append(need)
    alike: dict[frozenset[Need], list[Need]] = defaultdict(list)
    for some in by_dataset.values():
        alike[frozenset(replace(need, dataset="") for need in some)] += some
    yield from alike.values()


def _makes(request: Extract, need: Need) -> bool:
    models = request.clip if NODES[need.node].role == "clip" else (request.teacher,)
    is_so = (need.node in request.features, need.model in models, need.protocol == request.protocol)
    return all(is_so) and need.dtype == request.dtype


def _refuse_other_models(request: Extract, share: Mapping[Need, str]) -> None:
    """Raise ExpclipError where a request would make other features than those that were damaged."""
    planned = {one.encoder_digest for one in command(request.verb).do(replace(request, plan=True)).stores}
    for need, encoder in share.items():
        if encoder not in planned:
            raise ExpclipError(f"{need.model} is another model here than the one whose features were damaged")


def _rows_by_shard(store: FeatureStore) -> dict[int, int]:
    """How many rows of which shards a store has; of one whose receipt is damaged, all."""
    receipts = {int(file.stem): store.receipts.get(int(file.stem)) for file in store.receipts.files()}
    rows = {
        shard: receipt.rows if receipt else len(store.header.shard_rows(shard)) for shard, receipt in receipts.items()
    }
    return {shard: count for shard, count in rows.items() if count}


def _as_noted(folder: Path) -> Manifest | None:
    """The manifest that a changed note speaks of, with what it says, if all of that fits; None where it does not."""
    entry = changed_entry(folder)
    manifests = [path for path in folder.glob("manifest-*.zarr") if entry and path.name == entry.manifest]
    if entry is None or not manifests:
        return None
    try:
        manifest = read_manifest(manifests[0], entry.root)
    except Exception:  # zarr has no single error for what is damaged
        return None
    origin = replace(entry.origin, stamp="")  # so that the data set is read again
    is_here = Path(origin.root).is_dir() and (
        Path(origin.path).exists() if origin.path else entry.title in catalogue()
    )
    fits = (
        manifest.name == entry.title and {*origin.numbers} <= {*manifest.classes} and origin.order in (None, *ORDERS)
    )
    return replace(manifest, origin=origin) if is_here and fits and origin.root else None


def _typed_instruction(name: str, text: object) -> str:
    """How an instruction is given: by its name, or as the text that it is."""
    try:
        return name if instruction(name).text == text else str(text)
    except ExpclipError:
        return str(text)


def _fit(card: HeadCard, cache: Path | None) -> FitHead:
    """The request that fits a head as its card says."""
    said = card.spec | (card.spec.get("optimiser") or {})
    how: dict[str, Any] = {name: said[name] for name in _OF_FITTING if name in said}
    if card.teacher:
        how |= {"teacher": card.teacher, "instruction": (card.instruction,)}
    if card.seed is not None:
        how["seed"] = (card.seed,)
    if card.objective in OBJECTIVES and "optimiser" in card.spec:
        how["objective"] = card.objective
    if "labels" in card.spec:
        how |= {"shots": (card.spec["shots"],) if card.spec.get("shots") else (), "classes": _classes_of(card)}
        prompts = (card.spec.get("prompts") or {}).get("name")
        how |= {"prompts": prompts} if prompts in (*PROMPT_SETS, DESCRIPTIONS) else {}
        how |= {"frames": card.spec["frames"]} if card.spec.get("frames") in POLICIES else {}
        how |= _of_clips(card)
    how |= {"protocol": as_asked(card.protocol, "clip", card.backbone)}
    return FitHead(train=card.train, clip=(card.backbone,), head=(card.head,), cache=cache, **how)


def _of_clips(card: HeadCard) -> dict[str, Any]:
    """How a head was fitted that leads clips to prompts."""
    said = card.spec.get("settings") or {}
    how = {name: said[name] for name in ("text", "sampler", "select") if name in said}
    contexts = said.get("contexts") or {}
    named = {"tokens": "context_tokens", "per": "contexts", "position": "context_position"}
    named |= {"lr": "context_lr"} if learns_more(card.head) else {}
    return how | {named[name]: value for name, value in contexts.items() if name in named}


def _classes_of(card: HeadCard) -> tuple[str, ...]:
    """The classes that a head from labels learnt, where they are not common ones."""
    learnt = tuple(card.spec.get("classes") or ())
    return () if learnt == class_set(learnt) else learnt
