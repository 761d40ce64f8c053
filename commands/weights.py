"""`expclip weights`: which files the models need, fetching and converting them, and whether they are complete."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.filesize import decimal as byte_count

from ..encoders.systems import SYSTEMS
from ..errors import flag
from ..reports.console import complain, print_line, say
from . import options
from .command import DONE, FAILED, Command, as_document, records
from .options import Names
from .request import Request, ask

if TYPE_CHECKING:
    from ..encoders.weights import FileState

TEACHERS = options.TEACHER.but(
    help="Teachers, as for `extract`; repeat for several. With neither --clip nor --teacher the default models.",
    default=(),
    unset="none",
    in_defaults=False,
)
_SHOWN = 5
CLIPS = options.CLIP.but(default=(), unset="none", in_defaults=False)
USUAL_CLIP = options.CLIP.but(default=options.DEFAULT_CLIP, key="clip", is_typed=False)
USUAL_TEACHER = options.TEACHER.but(key="teacher", is_typed=False)


class ListWeights(Request, verb="weights list"):
    """The models that have a name: what they need, where it comes from, and what of it is here.

    Makes no network requests. The commit is that of the files that are here; no other is fetched for them later.
    """


@dataclass(frozen=True)
class WeightsLine:
    """One model that has a name, for a list."""

    model: str
    kind: str
    """clip or teacher."""
    source: str
    bytes: int
    """About what is fetched."""
    bytes_published: int
    licence: str
    files: int
    """Files needed, as far as that is known from what is here."""
    here: int
    commit: str | None
    """The revision of what is here."""


_MODELS = {
    "model": "model",
    "kind": "kind",
    "needs about": lambda one: " of ".join(dict.fromkeys(map(byte_count, (one.bytes, one.bytes_published)))),
    "licence": "licence",
    "source": lambda one: f"hf.co/{one.source}",
    "here": lambda one: f"{one.here} of {one.files} files at {one.commit[:7]}" if one.commit and one.here else "–",
}


LIST_WEIGHTS = Command(ListWeights, "stages.weights:list_weights", records("Weights", _MODELS), as_document)


class FetchWeights(Request, verb="weights fetch"):
    """Fetch models ahead, for machines without a network.

    Of a BLIP-2 only the shards that hold a tensor of its encoder side are fetched. The files lie in the hub's cache;
    set HF_HOME to a folder that the other machine sees, or copy it there. Example:

    `HF_HOME=/shared/hub expclip weights fetch --clip ViT-L-14 --teacher blip2-flan-t5-xxl`
    """

    clip: Names = CLIPS
    teacher: Names = TEACHERS
    usual_clip: str = USUAL_CLIP
    usual_teacher: str = USUAL_TEACHER


@dataclass(frozen=True)
class FetchedFile:
    """A file of a model that is on this machine now."""

    model: str
    file: str
    path: Path | None
    """None for random weights and what comes with expclip."""

    @property
    def size(self) -> str:
        return byte_count(self.path.stat().st_size) if self.path else ""


FETCH_WEIGHTS = Command(
    FetchWeights,
    "stages.weights:fetch_weights",
    records("Here now", {"model": "model", "file": "file", "size": "size"}),
    as_document,
)


class CheckWeights(Request, verb="weights check"):
    """Read every byte of what is here, and compare it with the digests on record.

    Ends with exit code 1 where a file of the models is damaged or missing. A local folder has no digests on record:
    there it is checked that its safetensors files are complete.
    """

    clip: Names = CLIPS
    teacher: Names = TEACHERS
    usual_clip: str = USUAL_CLIP
    usual_teacher: str = USUAL_TEACHER


_FILES = {
    "model": "model",
    "file": "file",
    "state": "state",
    "size": lambda one: byte_count(one.bytes) if one.path else "",
}


def states_document(request: CheckWeights, answer: "Sequence[FileState]") -> list[dict[str, Any]]:
    """What --json prints."""
    return [asdict(one) | {"path": one.path or ""} for one in answer]


def states_ending(request: CheckWeights, answer: "Sequence[FileState]") -> int:
    """Say what to do about files that are damaged or missing."""
    for one in answer:
        if one.state == "damaged":
            complain(f"damaged: remove {one.path}, and fetch it again")
    if any(one.state == "missing" for one in answer):
        complain("missing files: `expclip weights fetch` with the same options fetches them")
    return FAILED if any(one.state in ("damaged", "missing") for one in answer) else DONE


CHECK_WEIGHTS = Command(
    CheckWeights, "stages.weights:check_weights", records("Weights", _FILES), states_document, states_ending
)


class ConvertWeights(Request, verb="weights convert"):
    """Write the weights of a CLIP that was published as a pickle or as TorchScript as safetensors.

    Nothing of the file is run: only its tensors are read. The new file says where it comes from, and whether its
    weights need QuickGELU. Of DFER-CLIP's files the classifier of clips is written beside it, as
    FILE-head.safetensors, for `expclip heads import`. Example:

    `expclip weights convert openai-jit ViT-B-32.pt`
    """

    system: str = ask(
        f"{'; '.join(f'{name}: {one.about}' for name, one in SYSTEMS.items())}.",
        choices=SYSTEMS,
        metavar="SYSTEM",
        is_argument=True,
        in_file=False,
    )
    file: Path = ask("The file to convert.", is_argument=True, in_file=False)
    out: Path | None = ask(
        "The file to write; `auto` is beside the other.",
        None,
        metavar="FILE.safetensors",
        unset="auto",
        in_file=False,
    )
    classes: Names = options.CLASSES.but(
        help="Of a classifier, in the order of its file; `auto` knows those of 7 and of 11 common classes.",
        in_file=False,
    )
    prompts: str | None = options.PROMPTS.but(
        help="What the descriptions in a classifier's file should be, as for `evaluate`, one a class: others are "
        "refused.",
        default=None,
        unset="none",
        in_file=False,
    )


@dataclass(frozen=True)
class ShownClassifier:
    """A classifier that was written beside its CLIP."""

    path: Path
    prompts: dict[str, str]
    """What the prompt of each class reads, but for the vectors that were learnt."""
    unlike_released: tuple[str, ...]
    """Classes whose descriptions have other lengths than the released ones."""


@dataclass(frozen=True)
class ConvertedWeights:
    """A file of weights that was written."""

    path: Path
    tensors: int
    bytes: int
    system: str
    source: str
    source_sha256: str
    quick_gelu: str
    """yes, no or unknown."""
    names: tuple[str, ...]
    """What --clip may name now: several where it is not known whether the weights need QuickGELU."""
    left_out: tuple[str, ...]
    """What stood among the weights and is no tensor, or is another task's."""
    classifier: ShownClassifier | None = None


def show_converted(request: ConvertWeights, answer: ConvertedWeights) -> None:
    """What was written, and what to type next."""
    of = f"{answer.source} (SHA-256 {answer.source_sha256[:12]}…)"
    print_line(f"{answer.path}: {answer.tensors:,} tensors, {byte_count(answer.bytes)}, of {of}")
    print_line(f"use it as {' or '.join(f'--clip {name}' for name in answer.names)}")
    if answer.classifier:
        print_line(f"{answer.classifier.path}: its classifier, for `expclip heads import`. What its prompts read:")
        for name, text in answer.classifier.prompts.items():
            print_line(f"  {name}: {text}")


def converted_document(request: ConvertWeights, answer: ConvertedWeights) -> dict[str, Any]:
    """What --json prints."""
    document = asdict(answer) | {"path": str(answer.path)}
    made = answer.classifier
    more = {"classifier": asdict(made) | {"path": str(made.path)}} if made else {}
    return {name: value for name, value in document.items() if name != "classifier"} | more


def converted_ending(request: ConvertWeights, answer: ConvertedWeights) -> int:
    """Say what was left out, and what nobody knows."""
    if answer.left_out:
        some = ", ".join(answer.left_out[:_SHOWN])
        what = "no weights of its CLIP" if SYSTEMS[answer.system].other_tasks else "no tensors"
        say(f"note: left out, since they are {what}: {some}{' …' if len(answer.left_out) > _SHOWN else ''}")
    if answer.classifier and answer.classifier.unlike_released:
        which = ", ".join(answer.classifier.unlike_released)
        say(
            f"note: the descriptions of {which} are not as long as the released ones: the order of its classes or "
            f"its kind of text may be another; {flag('prompts')} FILE says what they should be"
        )
    if answer.quick_gelu == "unknown":
        say("note: the file does not say whether its weights were trained with QuickGELU, as OpenAI's were")
    return DONE


CONVERT_WEIGHTS = Command(
    ConvertWeights, "stages.weights:convert_weights", show_converted, converted_document, converted_ending
)
