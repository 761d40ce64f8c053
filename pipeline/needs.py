"""What a command needs, and how it is met: found in the cache, or made by one plan, or named by the one command.

Which store is meant, by name, by digest, by weights or as the only one there, is decided here and nowhere else.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain

from ..cache.header import Header
from ..cache.select import describe, differences
from ..cache.store import FeatureStore
from ..encoders.dtypes import PartDTypes
from ..encoders.families import as_asked, family_of, usual_protocol
from ..encoders.node import NODES, Node
from ..errors import ExpclipError, UsageError, one_of, option
from ..manifests.chosen import with_classes
from ..manifests.frames import DEFAULT_POLICIES
from ..manifests.manifest import Manifest
from ..manifests.prompts import instruction_name
from ..manifests.protocols import NATIVE, RELEASED
from .extractions import extract_command
from .other_frames import readings
from .plan import Wanted, header_of
from .rereading import known_manifest
from .t5_precision import continued
from .workspace import Workspace


@dataclass(frozen=True)
class Need:
    """Features of all rows of a data set under one frozen encoder."""

    dataset: str
    """As the user named it."""
    node: str
    model: str
    """As the user named it, or the first digits of an encoder digest."""
    instruction: str = ""
    protocol: str | None = None
    """As the user asked for it; None is the model's own."""
    dtype: str | None = None
    """Of the vision tower, which T5 follows as far as it can; None is whichever is there."""
    frames: str | None = None

    @cached_property
    def rules(self) -> str:
        """The protocol that is followed; empty where a digest says it."""
        if self.protocol is None and not is_digest(self.model):
            return usual_protocol(NODES[self.node].role, self.model)
        return self.protocol or ""

    def fields(self, manifest: Manifest) -> dict[str, str]:
        """What the header of such a store says, whatever its model is called."""
        wanted = {"rows_digest": manifest.rows.digest} | ({"protocol": self.rules} if self.rules else {})
        if NODES[self.node].has_instruction:
            wanted["instruction"] = instruction_name(self.instruction)
        if self.dtype and self.node == "clip_image":
            wanted["main_dtype"] = self.dtype
        if self.dtype and self.node == "llm":
            wanted["main_dtype"] = PartDTypes("", self.dtype).t5
        return wanted


@dataclass(frozen=True)
class Answer:
    """How a need is met."""

    manifest: Manifest
    header: Header
    """Of the store that is there, or that will be made."""
    node: Node | None
    """What makes it; None where the cache has all of it."""
    store: FeatureStore | None = None
    """The one that is there."""


@dataclass
class Needs:
    """The needs of one command. `answers` says what they mean, `stores` makes what is missing by one plan."""

    workspace: Workspace
    makes: bool
    """Whether what is missing may be made; else it is an error that names the command."""
    view: Callable[[Manifest], Manifest] = lambda manifest: manifest
    """What the command takes a data set for, whose classes are those that are told apart."""
    _asked: dict[Need, None] = field(default_factory=dict)
    _read: dict[str, Manifest] = field(default_factory=dict)
    """The data sets that were read from disk, because something of them is missing."""
    _served: dict[str, Manifest] = field(default_factory=dict)
    """The readings of data sets that features were found for, where these are other than the latest one."""
    _views: dict[int, tuple[Manifest, Manifest]] = field(default_factory=dict)
    """By the identity of a manifest it and what the command takes it for, which is asked for once a head."""

    def answers(self, needs: Sequence[Need]) -> list[Answer]:
        """How some needs are met. Raises UsageError where features are missing that may not be made."""
        self._asked |= dict.fromkeys(needs)
        found = [self._found(need) for need in needs]
        missing = [need for need, answer in zip(needs, found, strict=True) if answer is None]
        if missing and not self.makes:
            for known in filter(None, map(self._manifest, dict.fromkeys(need.dataset for need in missing))):
                self._seen(known)  # what no extraction would help is said first
            raise UsageError(why_missing(self.workspace, missing))
        every = [self._to_make(need) if answer is None else answer for need, answer in zip(needs, found, strict=True)]
        say_own_protocols(self.workspace, needs)
        return every

    def drop(self, need: Need) -> None:
        """Make nothing for a need that turned out to be none."""
        self._asked.pop(need, None)

    def stores(self) -> dict[Need, tuple[Manifest, FeatureStore]]:
        """Everything that was asked for, after making what is missing."""
        answers = dict(zip(self._asked, self.answers(list(self._asked)), strict=True))
        by_dataset: dict[str, list[Answer]] = defaultdict(list)
        for need, answer in answers.items():
            if answer.node is not None:
                by_dataset[need.dataset].append(answer)
        wanted = [
            Wanted(some[0].manifest, tuple(one.node for one in some if one.node)) for some in by_dataset.values()
        ]
        if wanted:
            names = ", ".join(dict.fromkeys(one.manifest.label for one in wanted))
            self.workspace.make(wanted, None, f"extract {names}")
        self._keep(answers.values())
        self.workspace.cache.tidy([answer.store.path for answer in answers.values() if answer.store])
        return {need: (self._seen(answer.manifest), self._store(answer)) for need, answer in answers.items()}

    def _keep(self, answers: Iterable[Answer]) -> None:
        """Note the data sets that are served by the features of others, so that they are known when they are gone."""
        cache = self.workspace.cache
        for manifest in {answer.manifest.folder: answer.manifest for answer in answers}.values():
            if cache.entry(manifest.folder) is None:
                with suppress(ExpclipError):  # a cache that may not be written to still serves
                    cache.save_manifest(manifest)

    def _store(self, answer: Answer) -> FeatureStore:
        return answer.store or FeatureStore.open(self.workspace.cache.store_of(answer.header, answer.manifest))

    def manifest(self, dataset: str) -> Manifest:
        """A data set that something was asked of: as read now, or else as it is in the cache."""
        manifest = self._served.get(dataset) or self._manifest(dataset)
        assert manifest is not None
        return self._seen(manifest)

    def _manifest(self, dataset: str) -> Manifest | None:
        return self._read.get(dataset) or known_manifest(self.workspace, dataset)

    def _seen(self, manifest: Manifest) -> Manifest:
        """A data set with the classes that the command tells apart."""
        if id(manifest) not in self._views:
            self._views[id(manifest)] = manifest, self._look(manifest)
        return self._views[id(manifest)][1]

    def _look(self, manifest: Manifest) -> Manifest:
        if self.workspace.chosen:
            all_sets = (self._manifest(dataset) for dataset in dict.fromkeys(need.dataset for need in self._asked))
            known = [name for one in all_sets if one is not None for name in one.classes]
            seen = with_classes(manifest, self.workspace.chosen, known)
            if manifest.is_labelled and not seen.is_labelled:
                raise UsageError(
                    f"{manifest.label} has no sample of {one_of(seen.classes)}: choose other {option('classes')}, of "
                    f"{', '.join(manifest.classes)}"
                )
            manifest = seen
        seen = self.view(manifest)
        self.workspace.remark(seen.label, *seen.remarks)
        return seen

    def _found(self, need: Need) -> Answer | None:
        latest = self._manifest(need.dataset)
        for manifest in readings(self.workspace, latest) if latest else ():
            store = _complete(self.workspace, manifest, need)
            if store is None:
                continue
            if manifest is not latest:
                self._served[need.dataset] = manifest
            other = self.workspace.cache.entry(store.path.parent.name)
            if other and other.folder != manifest.folder and other.origin.root != manifest.origin.root:
                said = f"its features are those of {other.where}, whose files have the same names and sizes"
                self.workspace.remark(manifest.label, said)
            return Answer(manifest, store.header, None, store)
        return None

    def _to_make(self, need: Need) -> Answer:
        workspace = self.workspace
        if need.dataset not in self._read:
            self._read[need.dataset] = workspace.read(workspace.dataset(need.dataset), need.frames)
        manifest = self._read[need.dataset]
        node = node_of(workspace, need, manifest)
        return Answer(manifest, header_of(manifest, node), node)


def say_own_protocols(workspace: Workspace, needs: Iterable[Need]) -> None:
    """Say which models are given other images than Exp-CLIP's code gives its own, or than they were trained on."""
    for need in needs:
        role, model = NODES[need.node].role, canonical_model(need.node, need.model)
        if need.protocol is None and need.rules == NATIVE:
            workspace.remark(model, f"its images are prepared as it was trained on them: protocol {NATIVE}")
        elif need.protocol == RELEASED and as_asked(NATIVE, role, need.model) is None:
            workspace.remark(model, f"it was trained on other images than {RELEASED} gives it: {NATIVE} is its own")


def node_of(workspace: Workspace, need: Need, manifest: Manifest) -> Node:
    """The node that makes what is needed of a data set; its T5 goes on in the precision in which it was begun."""

    def make(kept_t5: str | None) -> Node:
        return workspace.models.node(need.node, need.model, need.rules, need.dtype, need.instruction, kept_t5)

    return continued(workspace.cache, make, manifest)


def chosen_store(workspace: Workspace, manifest: Manifest, need: Need) -> FeatureStore | None:
    """The store that a need means, complete or not; complete ones are preferred. None where there is none.

    A model that is named by a path is known by its weights where they can be read, whatever it was called; any other
    by its name, and by its weights where no store has the name. Raises UsageError where several complete stores are
    left; of others the one with most rows is meant.
    """
    matching: list[FeatureStore] = []
    for stores in workspace.cache.of_manifest(manifest, need.node, **need.fields(manifest)):
        if is_digest(need.model):
            matching += [store for store in stores if store.header.encoder_digest.startswith(need.model)]
        else:
            matching += _of_model(workspace, stores, need)
        if any(store.is_complete() for store in matching):
            break
    found = [store for store in matching if store.is_complete()]
    if len({store.header.key for store in found}) > 1:
        said = describe({"model": need.model} | need.fields(manifest))
        digests = one_of(dict.fromkeys(store.header.encoder_digest[:12] for store in found))
        by_dtype = len({store.header.main_dtype for store in found}) == len(found) and workspace.has("dtype")
        advice = f"give {option('dtype')}, or " if by_dtype else "give "
        raise UsageError(
            f"{manifest.label} has {len(found)} stores of {need.node} for {said}, which differ in "
            f"{differences(found)}: {advice}one's digest ({digests}) instead of the model's name"
        )
    return found[0] if found else max(matching, key=FeatureStore.rows_done, default=None)


def _of_model(workspace: Workspace, stores: Sequence[FeatureStore], need: Need) -> list[FeatureStore]:
    name = family_of(NODES[need.node].role, need.model).name(need.model)
    named = [store for store in stores if store.header.model == name.canonical]
    if not stores or (named and not name.is_path):
        return named
    known = workspace.models.digests(need.node, need.model, need.rules, need.instruction)
    return named if known is None else [store for store in stores if store.header.encoder_digest in known]


def is_digest(text: str) -> bool:
    """Whether a model was named by the first digits of its encoder digest."""
    return re.fullmatch(r"[0-9a-f]{8,64}", text) is not None


def canonical_model(node: str, model: str) -> str:
    """What a model is called in the cache; a digest stays as it is."""
    return model if is_digest(model) else family_of(NODES[node].role, model).name(model).canonical


def is_there(workspace: Workspace, need: Need) -> bool:
    """Whether the cache has what is needed, under any of several models that it can mean."""
    try:
        manifest = known_manifest(workspace, need.dataset)
    except UsageError:  # a data set that has no name in this version
        return False
    try:
        return any(_complete(workspace, one, need) for one in readings(workspace, manifest)) if manifest else False
    except UsageError:  # several
        return True


def _complete(workspace: Workspace, manifest: Manifest, need: Need) -> FeatureStore | None:
    """The complete store that a need means, where a reading of its data set covers the frames."""
    if not manifest.covers(need.frames or DEFAULT_POLICIES[0]):
        return None
    store = chosen_store(workspace, manifest, need)
    return store if store is not None and store.is_complete() else None


def why_missing(workspace: Workspace, missing: Sequence[Need]) -> str:
    """What the cache lacks of some needs, what it has instead, and the command that makes all of them."""
    need, command = missing[0], extract_command(workspace, missing)
    known, place = workspace.dataset(need.dataset), workspace.named_cache or workspace.cache.root
    manifest = known_manifest(workspace, need.dataset)
    store = chosen_store(workspace, manifest, need) if manifest else None
    has = _instead(workspace, manifest, need) if manifest else ""
    if manifest is None or (known.entry is None and not (store or has)):
        return f"{place} has nothing of {known.label}: run `{command}`"
    if store and not store.is_complete():
        done = f"{store.rows_done():,} of {store.header.rows:,} rows are extracted"
        return f"{store.path.name}: {done}: run `{command}`"
    frames = need.frames if manifest and need.frames and not manifest.covers(need.frames) else ""
    said = {"model": canonical_model(need.node, need.model), "instruction": need.instruction, "frames": frames}
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    what = describe({name: value for name, value in said.items() if value})
    instead = f"{has}, or " if has else ""
    return f"{known.label} has no complete {need.node} for {what}{more} in {place}: {instead}run `{command}`"


def _instead(workspace: Workspace, manifest: Manifest, need: Need) -> str:
    """What the cache has in place of what is missing, with the options that name it; empty where it has nothing."""
    role = "model" if workspace.has("model") else NODES[need.node].role
    every = chain.from_iterable(workspace.cache.of_manifest(manifest, need.node))
    stores = [store for store in every if store.is_complete()]
    asked, found = need.fields(manifest), dict[str, None]()
    for header in (store.header for store in stores):
        wanted = {role: (header.model, canonical_model(need.node, need.model))}
        wanted["instruction"] = (header.instruction, asked.get("instruction", header.instruction))
        wanted["protocol"] = (header.protocol or need.rules, need.rules or header.protocol)
        wanted["dtype"] = (header.main_dtype, asked.get("main_dtype", header.main_dtype))
        other = {name: has for name, (has, needed) in wanted.items() if has != needed}
        if other and all(map(workspace.has, other)):
            found[" ".join(f"{option(name)} {has}" for name, has in other.items())] = None
    return f"it is there with {one_of(found)}" if found else ""
