"""`expclip cache verify`, `repair`, `gc` and `rm`: whether all is as it was written, and making it so."""

from dataclasses import dataclass
from pathlib import Path

from rich.filesize import decimal as byte_count

from ..errors import UsageError, flag
from ..reports.console import complain, print_command, print_line, say
from . import options
from .command import DONE, FAILED, Command, as_document, print_records
from .options import Names
from .request import Request, ask

_SOME = options.DATASETS.but(
    help="Data sets, or `text` or `heads`; by default all of the cache.", default=(), unset="all", metavar="DATASET…"
)


class VerifyCache(Request, verb="cache verify"):
    """Read every byte of the cache, and say what is not as it was written.

    `--reencode N` encodes N random rows of each store again, with models and images that are here, and reports how
    far they drift. Exit code 1 says that something is damaged; `expclip cache repair` mends it.
    """

    datasets: Names = _SOME
    reencode: int = ask(
        "Encode N random rows of each store again, and compare.", 0, metavar="N", least=0, in_file=False
    )
    seed: int = ask("Which rows are drawn for --reencode.", 0, least=0, in_file=False)
    device: str | None = options.ONE_DEVICE
    root: Names = options.ROOT
    cache: Path | None = options.CACHE


@dataclass(frozen=True)
class Problem:
    """Something that is wrong with the cache, or a note of something that is not known."""

    place: Path
    problem: str
    rows: str = ""
    """Which rows it costs."""
    is_damage: bool = True
    done: str = ""
    """What `repair` did about it."""


@dataclass(frozen=True)
class Drift:
    """How far rows that were encoded again are from what is stored."""

    store: Path
    rows: int
    least_cosine: float
    tolerance: float
    """The least cosine that is no damage."""

    @property
    def is_damage(self) -> bool:
        return not self.least_cosine >= self.tolerance


@dataclass(frozen=True)
class Verification:
    """What `cache verify` found."""

    problems: tuple[Problem, ...]
    stores: int
    rows: int
    heads: int
    drifts: tuple[Drift, ...] = ()

    @property
    def damage(self) -> int:
        return sum(one.is_damage for one in (*self.problems, *self.drifts))


_COLUMNS = {"where": "place", "rows": "rows", "what": "problem"}
_DRIFT = {
    "store": "store.stem",
    "rows": "rows",
    "least cosine": lambda one: f"{one.least_cosine:.6f}",
    "tolerance": "tolerance",
}


def show_verification(request: VerifyCache, answer: Verification) -> None:
    """What is damaged, what is noted, and how much was read."""
    damaged = [one for one in answer.problems if one.is_damage]
    if damaged:
        print_records("Damaged", damaged, _COLUMNS)
    notes: dict[str, list[Path]] = {}
    for one in answer.problems:
        if not one.is_damage:
            notes.setdefault(one.problem, []).append(one.place)
    for problem, places in notes.items():
        more = f" and {len(places) - 1:,} more" if len(places) > 1 else ""
        say(f"note: {places[0]}{more}: {problem}")
    if answer.drifts:
        print_records("Encoded again", answer.drifts, _DRIFT)
    read = f"{answer.stores:,} stores, {answer.rows:,} rows, {answer.heads:,} heads"
    print_line(f"{read}: {f'{answer.damage:,} damaged' if answer.damage else 'all is as it was written'}")


def verified(request: VerifyCache, answer: Verification) -> int:
    """1 where something is damaged, with what to do."""
    if not answer.damage:
        return DONE
    complain("`expclip cache repair` withdraws what is damaged, and prints the commands that make it anew")
    return FAILED


VERIFY_CACHE = Command(VerifyCache, "stages.keeping:verify_cache", show_verification, as_document, verified)


class RepairCache(Request, verb="cache repair"):
    """Withdraw what `cache verify` finds damaged, and print the commands that make it anew.

    With `--run` they are run, if models and data are here and the model is the one that made what was there.
    """

    datasets: Names = _SOME
    run: bool = ask("Run the commands, instead of printing them.", False, in_file=False)
    device: str | None = options.DEVICE
    root: Names = options.ROOT
    cache: Path | None = options.CACHE


@dataclass(frozen=True)
class Repair:
    """What `cache repair` did."""

    problems: tuple[Problem, ...]
    commands: tuple[str, ...]
    """What makes anew what was withdrawn."""
    is_run: bool
    unmade: tuple[str, ...] = ()
    """What could not be made anew, and why."""


def show_repair(request: RepairCache, answer: Repair) -> None:
    """What was withdrawn, and the commands."""
    if not answer.problems:
        print_line("nothing is damaged")
        return
    print_records("Repaired", answer.problems, {"where": "place", "what": "problem", "done": "done"})
    if answer.commands and not answer.is_run:
        print_line("These make it anew:")
        for command in answer.commands:
            print_command(command)


def repaired(request: RepairCache, answer: Repair) -> int:
    """1 where something could not be made anew."""
    for line in answer.unmade:
        complain(f"not made anew: {line}")
    return FAILED if answer.unmade else DONE


REPAIR_CACHE = Command(RepairCache, "stages.keeping:repair_cache", show_repair, as_document, repaired)


class CollectGarbage(Request, verb="cache gc"):
    """List what nobody needs: leftovers of killed processes, and stores of which no manifest here has the rows.

    `--delete` removes it. What a living process is making stays.
    """

    delete: bool = ask("Remove it.", False, in_file=False)
    cache: Path | None = options.CACHE


@dataclass(frozen=True)
class Removed:
    """What was removed, or could be."""

    place: Path
    why: str
    bytes: int
    is_removed: bool


def show_garbage(request: CollectGarbage, answer: list[Removed]) -> None:
    """A line for each, and the sum."""
    columns = {"where": "place", "size": lambda one: byte_count(one.bytes), "why": "why"}
    if answer:
        print_records("Removed" if request.delete else "Not needed", answer, columns)
    total = byte_count(sum(one.bytes for one in answer))
    advice = "" if request.delete or not answer else f": {flag('delete')} removes it"
    print_line(f"{len(answer):,} found, {total}{advice}")


COLLECT_GARBAGE = Command(CollectGarbage, "stages.keeping:collect_garbage", show_garbage, as_document)


class RemoveStores(Request, verb="cache rm"):
    """Remove stores, or all that the cache has of a data set. Its images and videos stay."""

    what: Names = ask(
        "The name of a store or a part that only it has, or a data set.",
        metavar="WHAT…",
        is_argument=True,
        in_file=False,
    )
    cache: Path | None = options.CACHE

    def check(self) -> None:
        if not all(self.what):
            raise UsageError("what is to be removed? Give the name of a store, or a data set")


def show_removed(request: RemoveStores, answer: list[Removed]) -> None:
    """A line for each."""
    for one in answer:
        print_line(f"{one.place}: removed, {byte_count(one.bytes)}")


REMOVE_STORES = Command(RemoveStores, "stages.keeping:remove_stores", show_removed, as_document)
