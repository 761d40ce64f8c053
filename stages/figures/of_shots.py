"""Figures of how much heads gain from each labelled sample."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...cache.keys import digest
from ...commands.fit_head import FitHead
from ...heads.choosing import NO_HEAD
from ...heads.kinds import KINDS
from ...heads.saving import HeadCard, read_card
from ...manifests.catalogue import catalogue
from ...reports.shot_curves import shots_figure
from ...scoring.compare import LABELS
from ...scoring.scores import Score
from .subject import Named, Subject

_SHOTS = (1, 2, 4, 8, 16)
"""What is advised where there are none."""


def draw_shots(subject: Subject) -> Named:
    """UAR over the number of shots, for each prompt set: a line for each kind of head, a panel for what it learnt."""
    cards = _cards(subject)
    scores = [one for one in subject.found.scores if one.is_overall]
    by_prompts = dict.fromkeys(one.of.prompts for one in scores if one.of.prompts != LABELS) or {LABELS: None}
    for prompts in by_prompts:
        some = [one for one in scores if one.of.prompts in (prompts, LABELS)]
        of_shots = [one for one in some if one.of.head_id in cards]
        plain = [one for one in some if one.of.head == NO_HEAD]
        named = next(one.of for one in some if one.of.prompts == prompts)
        name = f"shots-{named.setting_slug}"
        if not of_shots:
            yield name, f"none of these heads learnt from a number of shots: {_advice(subject)}"
            continue
        title = subject.title(f"{named.prompts} · heads from labels", [*plain, *of_shots])
        yield name, shots_figure(_panels(of_shots, cards), plain[0].uar if plain else None, title)


def _cards(subject: Subject) -> dict[str, HeadCard]:
    """The cards of heads that learnt from a number of shots, in the cache or named as files, by their ids."""
    heads = subject.reader.workspace.cache.heads
    ids = {one.of.head_id for one in subject.found.scores} - {""}
    found = map(read_card, [*(heads / one for one in ids), *map(Path, subject.request.head)])
    return {card.id: card for card in found if card is not None and card.spec.get("shots")}


def _panels(scores: Sequence[Score], cards: Mapping[str, HeadCard]) -> dict[str, dict[str, dict[int, list[float]]]]:
    """UARs of seeds by what was learnt from, kind of head, and shots."""
    groups: dict[str, dict[tuple[str, str], dict[int, list[float]]]] = defaultdict(dict)
    for one in scores:
        card = cards[one.of.head_id]
        learnt = f"learnt from {card.train}" + (", each class alike" if card.spec.get("balanced") else "")
        line = groups[learnt].setdefault((card.head, _recipe(card)), defaultdict(list))
        line[card.spec["shots"]].append(one.uar)
    return {name: _named(groups[name]) for name in sorted(groups)}


def _recipe(card: HeadCard) -> str:
    """The same for heads that differ only in the seed and the shots."""
    return digest({name: value for name, value in card.spec.items() if name not in ("seed", "shots")})[:8]


def _named(lines: Mapping[tuple[str, str], dict[int, list[float]]]) -> dict[str, dict[int, list[float]]]:
    """Lines by their kind, in the order of kinds; by their recipe too where one kind was fitted in several ways."""
    kinds = [kind for kind, _ in lines]
    ordered = sorted(lines.items(), key=lambda one: (list(KINDS).index(one[0][0]), one[0]))
    return {f"{kind} · recipe {recipe}" if kinds.count(kind) > 1 else kind: line for (kind, recipe), line in ordered}


def _advice(subject: Subject) -> str:
    """The command that fits some, on the train part of a data set that has a name."""
    name = subject.manifest.label.partition(":")[0]
    entry = catalogue().get(name)
    kinds = tuple(kind for kind in KINDS if KINDS[kind].validates)
    fit = FitHead(
        train=f"{name}:train" if entry and "train" in entry.splits else "DATASET",
        clip=(subject.reader.encoder.asked,),
        protocol=subject.request.protocol,
        head=kinds,
        shots=_SHOTS,
        cache=subject.request.cache,
    )
    return f"run `{fit.command()}`"
