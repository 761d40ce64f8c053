"""What is done about each kind of damage, and what makes anew what is withdrawn."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..cache.cache import TEXT
from ..cache.entries import CURRENT
from ..cache.files import discard, read_json
from ..cache.keys import digest
from ..cache.store import DESCRIPTION, FeatureStore
from ..cache.verify import Finding
from ..commands import command
from ..commands.extract import Extract
from ..commands.fit_head import FitHead
from ..commands.keeping import RepairCache
from ..commands.request import Request
from ..encoders.dtypes import PartDTypes
from ..encoders.node import NODES
from ..errors import ExpclipError
from ..heads.card import HeadCard
from ..heads.objectives import OBJECTIVES
from ..heads.saving import known_card
from ..manifests.classes import class_set
from ..manifests.frames import POLICIES
from ..manifests.prompts import PROMPT_SETS, instruction
from ..pipeline.needs import Need, extract_requests
from ..pipeline.workspace import Workspace
from ..reports.console import say

_OF_STEPS = ("epochs", "batch_size", "lr", "momentum", "weight_decay", "precision")
_OF_FITTING = (*_OF_STEPS, "ridge_lambda", "balanced", "validation")


class Mender:
    """Withdraws what is damaged, one after another, and knows what makes it anew."""

    def __init__(self, workspace: Workspace):
        self._workspace = workspace
        self._needs: dict[Need, str] = {}
        """What is missing now, and the encoder digest of what was there."""
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
        return self._mends[finding.kind](finding)

    @property
    def requests(self) -> list[Request]:
        """What makes it anew, in order."""
        return [*extract_requests(self._workspace, self._needs), *self._fits]

    @property
    def commands(self) -> list[str]:
        return [request.command() for request in self.requests]

    def run(self, request: RepairCache) -> None:
        """Run the commands; what another model would make is left missing."""
        for one in self.requests:
            say(f"$ {one.command()}")
            try:
                if isinstance(one, Extract):
                    one = replace(one, root=request.root, device=request.device)
                    self._refuse_other_models(one)
                command(one.verb).do(one)
            except ExpclipError as error:
                self.unmade.append(f"`{one.command()}`: {error.as_typed}")

    def _refuse_other_models(self, request: Extract) -> None:
        """Raise ExpclipError where a request would make other features than those that were damaged."""
        planned = {one.encoder_digest for one in command(request.verb).do(replace(request, plan=True)).stores}
        for need, encoder in self._needs.items():
            is_asked = need.dataset in request.datasets and need.model in (*request.clip, request.teacher)
            if is_asked and encoder not in planned:
                raise ExpclipError(f"{need.model} is another model here than the one whose features were damaged")

    def _shard(self, finding: Finding) -> str:
        assert finding.shard is not None
        store = FeatureStore.open(finding.place)
        store.receipts.withdraw(finding.shard)
        self._miss(store)
        return "its receipt is withdrawn"

    def _receipt(self, finding: Finding) -> str:
        self._miss(FeatureStore.open(finding.place.parent.with_suffix(".zarr")))
        return _remove(finding)

    def _description(self, finding: Finding) -> str:
        """What zarr notes of an array follows from the header, unless another version of zarr wrote it."""
        store = FeatureStore.open(finding.place)
        with_it = finding.place.with_name(f"{finding.place.stem}-described.zarr")
        try:
            made = FeatureStore.create(with_it, store.header)
            array = made.path / "features" / "zarr.json"
            known = json.loads((store.path / "zarr.json").read_text(encoding="utf-8"))["attributes"]
            if digest(read_json(array)) != known.get(DESCRIPTION):
                return self._store(finding)
            array.replace(store.path / "features" / "zarr.json")
            (made.path / "zarr.json").replace(store.path / "zarr.json")
            return "its description is written again"
        finally:
            shutil.rmtree(with_it, ignore_errors=True)

    def _store(self, finding: Finding) -> str:
        try:
            self._miss(FeatureStore.open(finding.place))
        except ExpclipError:
            self.unmade.append(
                f"{finding.place.name}: nobody knows with which options it was made: run `expclip extract` as before"
            )
        discard(finding.place)
        discard(finding.place.with_suffix(".receipts"))
        return "it is removed"

    def _manifest(self, finding: Finding) -> str:
        self._miss_of_folder(finding.place.parent)
        discard(finding.place)
        return "it is removed"

    def _entry(self, finding: Finding) -> str:
        self._miss_of_folder(finding.place.parent)
        return _remove(finding)

    def _miss_of_folder(self, folder: Path) -> None:
        """A data set is read again with whatever is extracted of it."""
        store = next(self._workspace.cache.stores(folder.name), None)
        if store is not None:
            self._miss(store)

    def _miss(self, store: FeatureStore) -> None:
        header = store.header
        if store.path.parent.name == TEXT:
            return  # `expclip evaluate` encodes texts whenever it needs them
        parts = header.spec.get("precision")
        dtypes = parts if isinstance(parts, dict) else {"vision": parts}
        dtype, t5 = dtypes.get("vision"), dtypes.get("t5")
        if t5 is not None and PartDTypes("", dtype).t5 != t5:
            dtype = None  # no option says so; what is begun goes on in its own precision
        asked = _typed_instruction(header.instruction, header.spec.get("instruction"))
        known = NODES[header.node].has_instruction
        need = Need(self._word(store.path.parent), header.node, header.model, asked if known else "")
        self._needs[replace(need, protocol=header.protocol or need.protocol, dtype=dtype)] = header.encoder_digest

    def _word(self, folder: Path) -> str:
        """What a data set is called on the command line."""
        noted = read_json(folder / CURRENT)
        known = noted if isinstance(noted, dict) else {}
        path, title = known.get("path"), known.get("title")
        if isinstance(path, str) and path and Path(path).exists():
            return path
        entry = self._workspace.cache.entry(folder.name)
        return entry.origin.path or entry.title if entry else title if isinstance(title, str) else folder.name

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
        how |= {"prompts": prompts} if prompts in PROMPT_SETS else {}
        how |= {"frames": card.spec["frames"]} if card.spec.get("frames") in POLICIES else {}
    return FitHead(
        train=card.train, clip=(card.backbone,), head=(card.head,), protocol=card.protocol, cache=cache, **how
    )


def _classes_of(card: HeadCard) -> tuple[str, ...]:
    """The classes that a head from labels learnt, where they are not common ones."""
    learnt = tuple(card.spec.get("classes") or ())
    return () if learnt == class_set(learnt) else learnt
