"""What the user types: each command parses, calls one stage and prints. Torch is imported only where it is needed."""

import functools
import io
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .cache.files import printable
from .errors import ExpclipError, UsageError
from .reports.console import byte_count, duration, print_json, print_table

if TYPE_CHECKING:
    from .settings import Defaults
    from .stages.workspace import Workspace

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
)
datasets_app = typer.Typer(help="The data sets: what there is, and what is wrong with a copy.", no_args_is_help=True)
cache_app = typer.Typer(help="The cache: what it holds, and handing stores over.", no_args_is_help=True)
heads_app = typer.Typer(
    help="The heads: what the cache has, bringing others in, handing them over.", no_args_is_help=True
)
weights_app = typer.Typer(
    help="The models' weights: what they need, fetching it ahead, whether it is whole.", no_args_is_help=True
)
app.add_typer(datasets_app, name="datasets")
app.add_typer(cache_app, name="cache")
app.add_typer(heads_app, name="heads")
app.add_typer(weights_app, name="weights")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"expclip {version('expclip')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Zero-shot facial expression recognition from cached features: extract once, then ablate for free."""


DONE_WITH_FAILURES = 3
INTERRUPTED = 130


def command(function: Callable[..., None]) -> Callable[..., None]:
    """A user's mistake is one line without a traceback; an interruption leaves what is finished."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except ExpclipError as error:
            _say(f"error: {error}")
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt:
            _say("interrupted: what is finished stays; the same command goes on from there")
            raise typer.Exit(INTERRUPTED) from None
        except (MemoryError, RuntimeError) as error:
            if not isinstance(error, MemoryError) and "out of memory" not in str(error):
                raise
            _say("error: out of memory: give a smaller --batch-size, or a smaller model")
            raise typer.Exit(ExpclipError.exit_code) from error

    return run


def _say(line: str) -> None:
    print(printable(line), file=sys.stderr)


Datasets = Annotated[
    list[str],
    typer.Argument(metavar="DATASET…", help="Names (see `expclip datasets list`), NAME:SPLIT, or paths."),
]
CacheOption = Annotated[
    Path | None,
    typer.Option("--cache", help="The cache folder. Default: $EXPCLIP_CACHE, expclip.toml, ./expclip-cache."),
]
RootOption = Annotated[
    list[str] | None,
    typer.Option("--root", metavar="[NAME=]DIR", help="Where a named data set is; repeat for several."),
]
ClipOption = Annotated[
    list[str] | None,
    typer.Option(
        "--clip",
        metavar="NAME",
        help="ViT-B-32, ViT-B-16, ViT-L-14 (OpenAI's), ARCH@TAG, ARCH@FILE, ARCH@random, local-dir:PATH or "
        "miniature; repeat to sweep. Default: ViT-L-14.",
    ),
]
TeacherOption = Annotated[
    str | None,
    typer.Option(
        "--teacher",
        metavar="NAME",
        help="A BLIP-2 with a T5: OWNER/REPOSITORY, a folder or miniature. Default: blip2-flan-t5-xxl.",
    ),
]
TeachersOption = Annotated[
    list[str] | None,
    typer.Option("--teacher", metavar="NAME", help="A BLIP-2 with a T5, as for `extract`; repeat for several."),
]
InstructionOption = Annotated[
    list[str] | None,
    typer.Option(
        "--instruction",
        metavar="NAME|TEXT|FILE",
        help="related-1, related-2, related-3, unrelated-1, empty, random-1, …; a text with a space in it; a .txt "
        "file; repeat to sweep. Default: related-1.",
    ),
]
ProtocolOption = Annotated[
    str | None, typer.Option("--protocol", help="`released` (as the released code; default) or `paper`.")
]
ObjectiveOption = Annotated[
    str,
    typer.Option(
        "--objective", help="infonce (cosines with a normalised e_G), or mse (squared error, e_G as it is stored)."
    ),
]
HeadOption = Annotated[
    list[str] | None,
    typer.Option("--head", metavar="ID|FILE|DIR|none", help="Default: plain CLIP (`none`) and all heads that match."),
]
PromptsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--prompts",
        metavar="SET|FILE",
        help='P-1 … P-5; a .json file with {"class": ["prompt", …], …} or {"templates": ["… {class} …", …]}; a .txt '
        "file with one template a line. Default: all five.",
    ),
]
EnsembleOption = Annotated[
    str,
    typer.Option(
        "--ensemble",
        help="Of several prompts a class: average the `logits` behind the head (as released), or the normalised "
        "`embeddings` before it (CLIP's own habit).",
    ),
]
FramesOption = Annotated[
    str | None, typer.Option("--frames", metavar="POLICY", help="Frames of a clip: released, edge or all.")
]
BatchOption = Annotated[int | None, typer.Option("--batch-size", min=1, help="Images an encoder sees at once.")]
DeviceOption = Annotated[
    str | None, typer.Option("--device", help="cpu, cuda, cuda:N or mps. Default: the best here.")
]
DTypeOption = Annotated[
    str | None,
    typer.Option(
        "--dtype",
        help="float32, float16 or bfloat16 for the vision towers; T5 is float32 with float32, else bfloat16.",
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Decoding threads; with --executor dask, worker processes."),
]
ExecutorOption = Annotated[str | None, typer.Option("--executor", help="`local` (default) or `dask`.")]
SchedulerOption = Annotated[
    str | None,
    typer.Option("--scheduler", metavar="ADDR", help="A running Dask scheduler, for example tcp://host:8786."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout instead of tables.")]


@app.command()
@command
def extract(
    datasets: Datasets,
    root: RootOption = None,
    cache: CacheOption = None,
    clip: ClipOption = None,
    teacher: TeacherOption = None,
    instruction: InstructionOption = None,
    features: Annotated[
        list[str] | None,
        typer.Option(
            "--features",
            metavar="NODE",
            help="clip_image, query_tokens, llm; repeat for several. Default: "
            "all three for train sets, clip_image for test sets.",
        ),
    ] = None,
    protocol: ProtocolOption = None,
    frames: FramesOption = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Only the first N rows of each data set.")
    ] = None,
    part: Annotated[str, typer.Option("--part", metavar="I/N", help="Only every N-th shard, from the I-th.")] = "1/1",
    batch_size: BatchOption = None,
    device: DeviceOption = None,
    dtype: DTypeOption = None,
    workers: WorkersOption = None,
    executor: ExecutorOption = None,
    scheduler: SchedulerOption = None,
    plan: Annotated[bool, typer.Option("--plan", help="Show what is cached and missing; load no model.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Run frozen models once over images and clips, and keep their embeddings.

    Only what is missing is computed; interrupted, the same command goes on where it stopped. Every combination of
    repeated options is extracted. Example:

    `expclip extract raf-db --root raf-db=/data/RAF-DB --clip ViT-L-14`
    """
    from .encoders.names import DEFAULT_TEACHER
    from .pipeline.plan import Portion
    from .stages.extract import Wanted
    from .stages.extract import extract as run

    workspace, config = _workspace(
        datasets,
        cache,
        root,
        protocol=protocol,
        device=device,
        dtype=dtype,
        batch_size=batch_size,
        workers=workers,
        executor=executor,
        scheduler=scheduler,
    )
    wanted = Wanted(clip or _as_list(config.clip), teacher, instruction, features, config.teacher or DEFAULT_TEACHER)
    result = run(workspace, datasets, wanted, frames, Portion(limit, _parse_part(part)), plan)
    failed = [(dataset, row) for dataset, rows in result.failed.items() for row in rows]
    if json_output:
        print_json(
            {
                "stores": [_plan_line(workspace, line) for line in result.lines],
                "encoded": 0 if plan else result.plan.rows,
                "failed": [{"dataset": d, "row": r.row, "source": r.source, "error": r.error} for d, r in failed],
            }
        )
    else:
        _print_plan(result.lines, plan)
    _report_failed(failed)


@app.command("fit-head")
@command
def fit_head(
    train: Annotated[str, typer.Option("--train", metavar="DATASET", help="The unlabelled faces to learn from.")],
    cache: CacheOption = None,
    clip: ClipOption = None,
    teacher: TeacherOption = None,
    instruction: InstructionOption = None,
    protocol: ProtocolOption = None,
    head: Annotated[
        list[str] | None,
        typer.Option(
            "--head",
            metavar="NAME",
            help="linear, mlp2, mlp3, transformer or ridge (the least squared error in closed form: no seed); repeat "
            "to sweep. Default: linear.",
        ),
    ] = None,
    objective: ObjectiveOption = "infonce",
    seed: Annotated[list[int] | None, typer.Option("--seed", help="Repeat for several. Default: 1, 2, 3.")] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="Default: 5; for infonce and the miniature its own.")
    ] = None,
    batch_size: Annotated[int, typer.Option("--batch-size", min=2)] = 512,
    lr: Annotated[
        float | None,
        typer.Option("--lr", help="Learning rate of SGD. Default: 0.001; for infonce and the miniature its own."),
    ] = None,
    momentum: Annotated[float, typer.Option("--momentum", min=0)] = 0.9,
    weight_decay: Annotated[float, typer.Option("--weight-decay", min=0)] = 1e-4,
    precision: Annotated[str, typer.Option("--precision", help="Of products: float32 or bfloat16.")] = "float32",
    ridge_lambda: Annotated[
        float,
        typer.Option(
            "--ridge-lambda", min=0, help="λ of ridge over the mean eigenvalue of XᵀX / n; 0: plain least squares."
        ),
    ] = 0.01,
    device: DeviceOption = None,
    json_output: JsonOption = False,
) -> None:
    """Train projection heads from cached features, in seconds.

    Every combination of repeated options is trained unless it is in the cache already. No model is loaded and no
    image is read. Example:

    `expclip fit-head --train caer-s --clip ViT-L-14 --instruction related-1 --instruction empty`
    """
    from .manifests.prompts import DEFAULT_INSTRUCTION
    from .stages.fit_head import Sweep, Training
    from .stages.fit_head import fit_head as run

    workspace, config = _workspace([train], cache, protocol=protocol, device=device)
    sweep = Sweep(
        clips=clip or _as_list(config.clip) or [None],
        teacher=teacher or config.teacher,
        instructions=instruction or [DEFAULT_INSTRUCTION],
        heads=head or ["linear"],
        objective=objective,
        seeds=seed or [1, 2, 3],
    )
    training = Training(epochs, batch_size, lr, momentum, weight_decay, precision, ridge_lambda)
    fitted = run(workspace, train, sweep, training)
    if json_output:
        print_json([asdict(one.card) | {"path": str(one.path), "is_new": one.is_new} for one in fitted])
        return
    rows = [
        (
            one.card.id,
            one.card.backbone,
            one.card.label,
            " → ".join(f"{loss:.3f}" for loss in dict.fromkeys((one.card.losses[0], one.card.losses[-1]))),
            f"{one.card.seconds:.1f} s" if one.is_new else "in the cache",
        )
        for one in fitted
    ]
    print_table(f"Heads trained on {train}", ("id", "backbone", "head", "loss", "fitted in"), rows)
    _note_untrained(one.card.untrained for one in fitted)


@app.command()
@command
def evaluate(
    datasets: Datasets,
    root: RootOption = None,
    cache: CacheOption = None,
    clip: ClipOption = None,
    head: HeadOption = None,
    prompts: PromptsOption = None,
    image: Annotated[
        list[str] | None,
        typer.Option(
            "--image",
            metavar="clip|llm",
            help="What encodes images: CLIP (default), or the LLM, by e_G; repeat to sweep. CLIP's embeddings go "
            "through the head, the LLM's do not.",
        ),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(
            "--text", metavar="clip|llm", help="What encodes prompts: CLIP (default), or the LLM's encoder."
        ),
    ] = None,
    teacher: TeacherOption = None,
    instruction: InstructionOption = None,
    ensemble: EnsembleOption = "logits",
    intervals: Annotated[
        bool, typer.Option("--intervals/--no-intervals", help="95 % intervals of scores and gains, by bootstrap.")
    ] = True,
    frames: FramesOption = None,
    protocol: ProtocolOption = None,
    cached_only: Annotated[bool, typer.Option("--cached-only", help="Never run a model.")] = False,
    batch_size: BatchOption = None,
    device: DeviceOption = None,
    dtype: DTypeOption = None,
    workers: WorkersOption = None,
    executor: ExecutorOption = None,
    scheduler: SchedulerOption = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of the results.")] = Path("expclip-results"),
    json_output: JsonOption = False,
) -> None:
    """Score cached test features for every combination of data sets, heads and prompts.

    Image features that are missing are extracted first. Writes `scores.csv`, `predictions.csv`, `confusion.npz`,
    `tables.md` and a figure per confusion matrix. UAR: mean recall over classes; WAR: accuracy; both in percent, in
    the files with 95 % intervals and with each head's gain over plain CLIP on the same samples.
    With `--image llm` or `--text llm` the LLM takes CLIP's place (a head's own LLM and instruction; where the LLM
    has both places, --teacher and --instruction). Example:

    `expclip evaluate raf-db dfew --clip ViT-L-14 --prompts P-3`
    """
    from .encoders.names import DEFAULT_CLIP
    from .manifests.prompts import DEFAULT_INSTRUCTION, PROMPT_SETS
    from .reports.results import as_row
    from .reports.tables import tables
    from .stages.evaluate import evaluate as run
    from .stages.scoring import SIDES, Scoring

    workspace, config = _workspace(
        datasets,
        cache,
        root,
        protocol=protocol,
        device=device,
        dtype=dtype,
        batch_size=batch_size,
        workers=workers,
        executor=executor,
        scheduler=scheduler,
    )
    clips = clip or _as_list(config.clip) or [DEFAULT_CLIP]
    scoring = Scoring(
        clips,
        head,
        prompts or PROMPT_SETS,
        frames or "released",
        cached_only,
        images=image or SIDES[:1],
        texts=text or SIDES[:1],
        teacher=teacher or config.teacher,
        instructions=instruction or [DEFAULT_INSTRUCTION],
        ensemble=ensemble,
        intervals=intervals,
    )
    found = run(workspace, datasets, scoring, out)
    if json_output:
        print_json({"out": str(out), "scores": [as_row(one) for one in found.scores]})
    else:
        for table in tables(found.scores):
            print_table(table.title, table.columns, table.rows)
        print(f"{out}: scores.csv, predictions.csv, confusion.npz, tables.md and figures/")
    failed = max((one.n_failed for one in found.scores), default=0)
    if failed:
        _say(f"some samples could not be scored because an image failed (up to {failed} a data set): see scores.csv")
        raise typer.Exit(DONE_WITH_FAILURES)


@app.command()
@command
def reproduce(
    tables: Annotated[
        list[str] | None, typer.Argument(metavar="[1|2|3|4|5|A|B]…", help="Tables of the paper. Default: all.")
    ] = None,
    cache: CacheOption = None,
    clip: Annotated[
        list[str] | None,
        typer.Option("--clip", metavar="NAME", help="Backbones; repeat for several. Default: those of each table."),
    ] = None,
    teacher: TeacherOption = None,
    train: Annotated[
        str | None, typer.Option("--train", metavar="DATASET", help="The faces heads learnt from. Default: caer-s.")
    ] = None,
    test: Annotated[
        list[str] | None,
        typer.Option(
            "--test", metavar="DATASET", help="The columns; repeat for several. Default: the paper's eight."
        ),
    ] = None,
    frames: FramesOption = None,
    protocol: ProtocolOption = None,
    dtype: DTypeOption = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for tables.md.")] = None,
    json_output: JsonOption = False,
) -> None:
    """Show the paper's tables: our numbers, the published ones, the difference, and what is missing for the rest.

    Everything comes from the cache: no model runs and no head is trained. The commands that make what is missing are
    listed first. Mean ± standard deviation over seeds, in percent. Example:

    `expclip reproduce 2 A --test raf-db`
    """
    from .reports.paper import as_json, as_text
    from .stages.paper_setting import Setting
    from .stages.reproduce import reproduce as run

    workspace, _ = _workspace([], cache, protocol=protocol, dtype=dtype)
    options = {"--cache": cache and str(cache), "--protocol": protocol, "--dtype": dtype}
    usual = Setting()
    setting = Setting(
        clips=clip or usual.clips,
        teacher=teacher or usual.teacher,
        train=train or usual.train,
        tests=test or usual.tests,
        frames=frames or usual.frames,
        given=[part for option, value in options.items() if value for part in (option, value)],
    )
    done = run(workspace, tables or (), setting, out)
    if json_output:
        steps = [asdict(step) for step in done.steps]
        print_json({"steps": steps, "tables": [as_json(table) for table in done.tables]})
        return
    print("What makes these numbers:")
    for step in done.steps:
        print(printable(f"  {step.state:>16}  {step.command}"))
    for table, notes in map(as_text, done.tables):
        print_table(table.title, table.columns, table.rows)
        for note in notes:
            print(printable(f"  {note}"))
    _note_untrained(table.untrained for table in done.tables)


@app.command()
@command
def crop(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="The folder of the images.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the crops; their paths in it are those in SRC.")],
    boxes: Annotated[
        Path | None,
        typer.Option(
            "--boxes",
            metavar="FILE",
            help="Lines `path x0 y0 x1 y1` (spaces, tabs, commas or semicolons), paths relative to SRC; a first line "
            "may name the columns, the path first: path,x,y,w,h.",
        ),
    ] = None,
    detector: Annotated[
        str | None, typer.Option("--detector", metavar="NAME", help="Without --boxes: dlib-hog (default).")
    ] = None,
    margin: Annotated[
        float, typer.Option("--margin", help="Added on each side, as a share of the box's width and height.")
    ] = 0.0,
    face: Annotated[str, typer.Option("--face", help="Which of several: largest or central.")] = "largest",
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Processes. Default: one a core.")] = None,
    json_output: JsonOption = False,
) -> None:
    """Cut one face out of every image of a folder, with boxes from a list or a face detector.

    Interrupted, the same command goes on where it stopped. `crops.csv` has a line for each image: the box, how many
    faces there were, and what went wrong; where no face is found nothing is guessed. Example:

    `expclip crop /data/CAER-S --out /data/CAER-S-faces --margin 0.1`
    """
    from .stages.crop import Cropping
    from .stages.crop import crop as run

    cropped = run(source, out, Cropping(boxes, detector, margin, face), workers)
    for remark in cropped.remarks:
        _say(remark)
    failed, total = cropped.failed, len(cropped.crops)
    if json_output:
        print_json(
            {
                "out": str(out),
                "images": total,
                "cropped": total - len(failed),
                "new": cropped.new,
                "failed": [{"path": one.path, "outcome": one.outcome, "why": one.why} for one in failed],
            }
        )
    else:
        print(
            printable(f"{out}: {total - len(failed):,} of {total:,} images have a crop ({cropped.new:,} looked at)")
        )
    if failed:
        _list_failed([f"{one.path}: {one.why}" for one in failed])
        _say(f"{len(failed):,} images have no crop: see {out / 'crops.csv'}")
        raise typer.Exit(DONE_WITH_FAILURES)


@app.command()
@command
def figures(
    datasets: Datasets,
    cache: CacheOption = None,
    clip: ClipOption = None,
    head: HeadOption = None,
    prompts: PromptsOption = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--kind",
            help="confusion, samples, variance, tsne, retrieval; repeat for several. Default: all but retrieval, "
            "which comes with --descriptions.",
        ),
    ] = None,
    ensemble: EnsembleOption = "logits",
    frames: FramesOption = None,
    protocol: ProtocolOption = None,
    dtype: DTypeOption = None,
    descriptions: Annotated[
        Path | None,
        typer.Option(
            "--descriptions",
            metavar="FILE",
            help="A CSV file `sample_id,text` for retrieval, with ids as in predictions.csv. Its texts are encoded.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the choice of samples, and of t-SNE.")] = 0,
    out: Annotated[Path, typer.Option("--out", help="Folder of the figures.")] = Path("expclip-figures"),
    json_output: JsonOption = False,
) -> None:
    """Draw figures of cached features, as PNG and PDF.

    Confusion matrices side by side and sample predictions with probabilities for every data set, backbone and prompt
    set; variance within classes, t-SNE and retrieval by descriptions for every data set and backbone. All but the
    matrices show at most four rows of the score tables: choose with --head. Only descriptions run a model. Example:

    `expclip figures raf-db --clip ViT-L-14 --prompts P-3`
    """
    from .encoders.names import DEFAULT_CLIP
    from .manifests.prompts import PROMPT_SETS
    from .stages.figure_subject import Drawing
    from .stages.figures import figures as run
    from .stages.scoring import Scoring

    workspace, config = _workspace(datasets, cache, protocol=protocol, dtype=dtype)
    clips = clip or _as_list(config.clip) or [DEFAULT_CLIP]
    asked = prompts or PROMPT_SETS
    scoring = Scoring(clips, head, asked, frames or "released", cached_only=True, ensemble=ensemble)
    drawn = run(workspace, datasets, scoring, out, Drawing(kind or None, seed, descriptions))
    if json_output:
        print_json([str(path) for path in drawn])
    else:
        print("\n".join(printable(str(path)) for path in drawn))


@app.command()
@command
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for the demo's cache and results.")] = Path(
        "expclip-demo"
    ),
) -> None:
    """Run the whole method on built-in faces with miniature models, offline, on a CPU.

    Prints the ordinary commands and runs them; give them one by one to get the same.
    """
    from .stages.demo import demo_steps

    for step in demo_steps(str(out / "cache"), str(out)):
        _say(f"\n# {step.why}\n$ {step.command}")
        status = app(list(step.arguments), standalone_mode=False)
        if status:
            raise typer.Exit(int(status))
    print(
        f"Look at {out / 'figures'} and {out / 'results' / 'tables.md'}. The miniature shows the mechanism on "
        "cartoon faces; it is no evidence for the paper: see docs/miniature.md"
    )


@datasets_app.command("list")
@command
def datasets_list(json_output: JsonOption = False) -> None:
    """The data sets that have a name."""
    from .manifests.catalogue import catalogue

    entries = catalogue()
    if json_output:
        print_json({name: entry.model_dump(mode="json") for name, entry in entries.items()})
        return
    rows = [
        (
            name,
            entry.kind,
            str(entry.classes or "unlabelled"),
            ", ".join(f"{split}{f' ({s.expected:,})' if s.expected else ''}" for split, s in entry.splits.items()),
            entry.about,
        )
        for name, entry in entries.items()
    ]
    print_table("Data sets", ("name", "kind", "classes", "splits (published samples)", "about"), rows)


@datasets_app.command("audit")
@command
def datasets_audit(
    datasets: Datasets,
    root: RootOption = None,
    cache: CacheOption = None,
    workers: WorkersOption = None,
    json_output: JsonOption = False,
) -> None:
    """Read every file of a data set and report what is missing, broken, double or unlike the published counts."""
    from .stages.datasets import audit

    workspace, _ = _workspace(datasets, cache, root, workers=workers)
    audits = [audit(workspace, dataset) for dataset in datasets]
    if json_output:
        print_json([asdict(one) for one in audits])
    else:
        for one in audits:
            counts = ", ".join(f"{name} {count:,}" for name, count in one.counts.items())
            print(f"{one.name}: {one.samples:,} samples, {one.rows:,} images ({counts})")
            for kind, lines in (("error", one.errors), ("remark", one.remarks)):
                for line in lines:
                    print(printable(f"  {kind}: {line}"))
            if not one.errors and not one.remarks:
                print("  nothing to remark")
    if any(one.errors for one in audits):
        raise typer.Exit(DONE_WITH_FAILURES)


@cache_app.command("list")
@command
def cache_list(cache: CacheOption = None, json_output: JsonOption = False) -> None:
    """The feature stores of the cache and how far they are."""
    from .cache.cache import Cache
    from .settings import cache_folder, read_config
    from .stages.cache import list_stores

    where = Cache(cache_folder(cache, read_config()))
    if not where.root.is_dir():
        raise UsageError(f"{where.root}: there is no cache here")
    lines = list_stores(where)
    if json_output:
        print_json([asdict(line) | {"path": str(line.path)} for line in lines])
        return
    rows = [
        (
            line.path.stem,
            line.dataset,
            line.instruction,
            f"{line.done:,} / {line.rows:,}" + (f" ({line.failed} failed)" if line.failed else ""),
            byte_count(line.bytes),
            line.problem or ("untrained" if line.untrained else ""),
        )
        for line in lines
    ]
    print_table(f"{where.root}", ("store", "data set", "instruction", "rows", "size", "remark"), rows)


@cache_app.command("export")
@command
def cache_export(
    store: Annotated[str, typer.Argument(help="The store's name, or a part of it that only it has.")],
    file: Annotated[Path, typer.Argument(help="The HDF5 file to write.")],
    cache: CacheOption = None,
) -> None:
    """Write one store to one HDF5 file."""
    from .cache.cache import Cache
    from .settings import cache_folder, read_config
    from .stages.cache import export

    exported = export(Cache(cache_folder(cache, read_config())), store, file)
    print(f"{file}: {exported.path.stem}, {exported.rows_done():,} rows, {byte_count(file.stat().st_size)}")
    _note_untrained([exported.header.untrained])


@cache_app.command("import")
@command
def cache_import(
    files: Annotated[list[Path], typer.Argument(help="HDF5 files that `expclip cache export` wrote.")],
    cache: CacheOption = None,
) -> None:
    """Bring exported stores into the cache."""
    from .cache.cache import Cache
    from .settings import cache_folder, read_config
    from .stages.cache import import_

    for imported in import_(Cache(cache_folder(cache, read_config())), files):
        print(f"{imported.path}: {imported.rows_done():,} of {imported.header.rows:,} rows")


@heads_app.command("list")
@command
def heads_list(cache: CacheOption = None, json_output: JsonOption = False) -> None:
    """The heads of the cache."""
    from .stages.heads import list_heads

    workspace, _ = _workspace([], cache)
    heads = list_heads(workspace)
    if json_output:
        print_json([asdict(card) | {"path": str(path)} for path, card in heads])
        return
    rows = [
        (card.id, card.backbone, card.label, card.train, card.protocol, "untrained" if card.untrained else "")
        for _, card in heads
    ]
    columns = ("id", "backbone", "head", "trained on", "protocol", "remark")
    print_table(f"{workspace.cache.heads}", columns, rows)


@heads_app.command("import")
@command
def heads_import(
    file: Annotated[Path, typer.Argument(help="A .pth or .safetensors with one linear weight, or an exported head.")],
    cache: CacheOption = None,
    features: Annotated[
        str | None,
        typer.Option(
            "--features",
            metavar="DATASET",
            help="A data set whose cached image features are of the kind that the head projects. Not needed for a "
            ".safetensors file of `expclip heads export`.",
        ),
    ] = None,
    clip: Annotated[
        str | None, typer.Option("--clip", metavar="NAME", help="The head's CLIP. Default: ViT-L-14.")
    ] = None,
    teacher: TeacherOption = None,
    instruction: Annotated[str | None, typer.Option("--instruction", help="Default: related-1.")] = None,
    protocol: ProtocolOption = None,
    dtype: DTypeOption = None,
    objective: ObjectiveOption = "infonce",
    train: Annotated[str, typer.Option("--train", metavar="NAME", help="What it was trained on, if known.")] = "",
    seed: Annotated[int | None, typer.Option("--seed", help="Its seed, if known.")] = None,
) -> None:
    """Bring a head into the cache: one of Exp-CLIP's released files, or what `expclip heads export` wrote.

    Only tensors are read from the file; nothing is unpickled. Example:

    `expclip heads import head.pth --features raf-db --clip ViT-L-14 --train caer-s --seed 1`
    """
    from .encoders.names import DEFAULT_TEACHER
    from .manifests.prompts import DEFAULT_INSTRUCTION
    from .stages.heads import Origin, import_head

    workspace, config = _workspace([features] if features else [], cache, protocol=protocol, dtype=dtype)
    origin = features and Origin(
        features=features,
        clip=clip or config.clip,
        teacher=teacher or config.teacher or DEFAULT_TEACHER,
        instruction=instruction or DEFAULT_INSTRUCTION,
        objective=objective,
        train=train,
        seed=seed,
    )
    path, card = import_head(workspace, file, origin or None)
    print(printable(f"{path}: {card.label}, for {card.backbone} ({card.protocol})"))
    _note_untrained([card.untrained])


@heads_app.command("export")
@command
def heads_export(
    head: Annotated[str, typer.Argument(metavar="ID|DIR", help="The head, or the beginning of its id.")],
    file: Annotated[
        Path, typer.Argument(help="The file to write: .pth, or .safetensors, which says what head it is.")
    ],
    cache: CacheOption = None,
    square: Annotated[
        bool, typer.Option("--square", help="As the L × L matrix that predicts the same as a linear head's L' × L.")
    ] = False,
) -> None:
    """Write a head to one file. `evaluate --head FILE` takes the .safetensors."""
    from .stages.heads import export_head

    workspace, _ = _workspace([], cache)
    card = export_head(workspace, head, file, square)
    print(printable(f"{file}: {card.label}, for {card.backbone} ({card.protocol})"))
    _note_untrained([card.untrained])


@weights_app.command("list")
@command
def weights_list(json_output: JsonOption = False) -> None:
    """The models that have a name: what they need, where it comes from, and what of it is here.

    Asks nothing of the network. The commit is that of the files that are here; no other is fetched for them later.
    """
    from .stages.weights import list_weights

    lines = list_weights()
    if json_output:
        print_json([asdict(line) for line in lines])
        return
    rows = [
        (
            line.model,
            line.kind,
            byte_count(line.bytes) + (f" of {byte_count(line.bytes_published)}" if line.kind == "teacher" else ""),
            line.licence,
            f"hf.co/{line.source}",
            f"{line.here} of {line.files} files at {line.commit[:7]}" if line.commit and line.here else "–",
        )
        for line in lines
    ]
    print_table("Weights", ("model", "kind", "needs about", "licence", "source", "here"), rows)


@weights_app.command("fetch")
@command
def weights_fetch(clip: ClipOption = None, teacher: TeachersOption = None, json_output: JsonOption = False) -> None:
    """Fetch models ahead, for machines without a network.

    Of a BLIP-2 only the shards that hold a tensor of its encoder side are fetched. The files lie in the hub's cache;
    set HF_HOME to a folder that the other machine sees, or copy it there. Default: the default models. Example:

    `HF_HOME=/shared/hub expclip weights fetch --clip ViT-L-14 --teacher blip2-flan-t5-xxl`
    """
    from .stages.weights import fetch_weights

    found = fetch_weights(*_models_meant(clip, teacher))
    files = [(one.model, name, one.path(name)) for one in found for name in one.names]
    if json_output:
        print_json([{"model": model, "file": name, "path": str(path)} for model, name, path in files])
        return
    sizes = [byte_count(path.stat().st_size) if path else "" for _, _, path in files]
    rows = [(model, name, size) for (model, name, _), size in zip(files, sizes, strict=True)]
    print_table("Here now", ("model", "file", "size"), rows)


@weights_app.command("check")
@command
def weights_check(clip: ClipOption = None, teacher: TeachersOption = None, json_output: JsonOption = False) -> None:
    """Read every byte of what is here, and compare it with the digests on record.

    Ends with exit code 1 where a file of the models (by default the default models) is damaged or missing. A local
    folder has no digests on record: there it is checked that its safetensors files are whole.
    """
    from .stages.weights import check_weights

    states = check_weights(*_models_meant(clip, teacher))
    if json_output:
        print_json([asdict(one) | {"path": str(one.path or "")} for one in states])
    else:
        rows = [(one.model, one.file, byte_count(one.bytes) if one.path else "", one.state) for one in states]
        print_table("Weights", ("model", "file", "size", "state"), rows)
    for one in states:
        if one.state == "damaged":
            _say(f"damaged: remove {one.path}, and fetch it again")
    if any(one.state == "missing" for one in states):
        _say("missing files: `expclip weights fetch` with the same options fetches them")
    if any(one.state in ("damaged", "missing") for one in states):
        raise typer.Exit(ExpclipError.exit_code)


def _models_meant(clips: list[str] | None, teachers: list[str] | None) -> tuple[list[str], list[str]]:
    """The models that were named, or else the default ones of both kinds."""
    from .encoders.names import DEFAULT_CLIP, DEFAULT_TEACHER
    from .settings import read_config

    if clips or teachers:
        return clips or [], teachers or []
    defaults = read_config().defaults
    return [defaults.clip or DEFAULT_CLIP], [defaults.teacher or DEFAULT_TEACHER]


@app.command()
@command
def doctor(device: DeviceOption = None, json_output: JsonOption = False) -> None:
    """Show versions and devices, and try every encoder on this machine's GPU against its CPU.

    The built-in miniature models are tried, offline; without a GPU bfloat16 is compared with float32. Ends with exit
    code 1 where an encoder fails or its features are not those of float32 on the CPU.
    """
    from .stages.doctor import examine

    found = examine(device)
    if json_output:
        trials = [asdict(one) | {"passed": one.passed} for one in found.trials]
        print_json(asdict(found) | {"trials": trials, "healthy": found.healthy})
    else:
        print_table("Versions", ("what", "version"), list(found.versions.items()))
        devices = [(one.name, one.what, ", ".join(one.formats)) for one in found.devices]
        print_table("Devices", ("device", "what", "number formats"), devices)
        trials = [
            (
                one.node,
                one.device,
                one.dtype,
                "–" if one.error is None else f"{one.error:.2%}",
                f"{one.tolerance:.0%}",
                "passed" if one.passed else f"failed: {one.problem}",
            )
            for one in found.trials
        ]
        columns = ("encoder", "device", "number format", "error", "allowed", "result")
        print_table("Encoders against float32 on the CPU", columns, trials)
        for remark in found.remarks:
            print(remark)
    if not found.healthy:
        raise typer.Exit(ExpclipError.exit_code)


def _workspace(
    datasets: Sequence[str], cache: Path | None, root: Sequence[str] | None = None, **given: Any
) -> "tuple[Workspace, Defaults]":
    """The workspace that a command's options and the configuration file ask for, and the file's defaults.

    `given` are fields of the workspace; one that is None is looked up in the file.
    """
    from .settings import cache_folder, read_config
    from .stages.workspace import Workspace

    config = read_config()
    chosen = {name: getattr(config.defaults, name) if value is None else value for name, value in given.items()}
    if chosen.get("scheduler") and not chosen["executor"]:
        chosen["executor"] = "dask"
    roots = dict(config.roots) | _parse_roots(root or [], datasets)
    known = {name: value for name, value in chosen.items() if value is not None}
    return Workspace(cache_folder(cache, config), roots, **known), config.defaults


def _parse_roots(roots: Sequence[str], datasets: Sequence[str]) -> dict[str, Path]:
    from .manifests.catalogue import catalogue, parse_dataset

    parsed: dict[str, Path] = {}
    for text in roots:
        name, equals, folder = text.partition("=")
        if equals and name in catalogue():
            parsed[name] = Path(folder)
        elif len(datasets) == 1:
            parsed[parse_dataset(datasets[0]).root_name] = Path(text)
        else:
            raise UsageError(f"--root {text}: with several data sets write --root NAME=DIR")
    return parsed


def _parse_part(text: str) -> tuple[int, int]:
    index, slash, of = text.partition("/")
    if not slash or not index.isdigit() or not of.isdigit() or not 1 <= int(index) <= int(of):
        raise UsageError(f"--part {text!r}: write I/N with 1 ≤ I ≤ N, for example 1/4")
    return int(index), int(of)


def _as_list(value: str | None) -> list[str] | None:
    return [value] if value else None


def _print_plan(lines: Sequence[Any], plan_only: bool) -> None:
    rows = [
        (
            line.header.dataset,
            line.node.label,
            f"{line.done:,}",
            f"{line.to_do:,}",
            byte_count(line.bytes) if line.to_do else "",
            duration(line.seconds) if line.to_do else "",
        )
        for line in lines
    ]
    columns = (
        "data set",
        "features",
        "cached",
        "missing" if plan_only else "encoded",
        "size",
        "estimated time",
    )
    if not plan_only:
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    print_table("Plan" if plan_only else "Rows", columns, rows)
    _note_untrained(line.header.untrained for line in lines)


def _plan_line(workspace: "Workspace", line: Any) -> dict[str, Any]:
    header = line.header
    names = (
        "dataset",
        "node",
        "model",
        "instruction",
        "protocol",
        "untrained",
        "rows",
        "encoder_digest",
        "key",
    )
    return {name: getattr(header, name) for name in names} | {
        "cached": line.done,
        "missing": line.to_do,
        "bytes": line.bytes,
        "seconds": line.seconds,
        "path": str(workspace.cache.store_path(header)),
    }


def _note_untrained(flags: Iterable[bool]) -> None:
    if any(flags):
        _say("note: untrained (random) weights are among these: they show that the machinery works, nothing more")


def _report_failed(failed: Sequence[tuple[str, Any]]) -> None:
    """List rows that could not be encoded, and end with the exit code for them."""
    if not failed:
        return
    _list_failed([f"{dataset}: {row.source}: {row.error}" for dataset, row in failed])
    _say(f"{len(failed):,} rows could not be encoded; they are NaN in the features and left out of what follows")
    raise typer.Exit(DONE_WITH_FAILURES)


def _list_failed(lines: Sequence[str]) -> None:
    for line in lines[:20]:
        _say(f"failed: {line}")
    if len(lines) > 20:
        _say(f"… and {len(lines) - 20:,} more: --json lists them all")


def main() -> None:
    """The entry point of the `expclip` command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a letter does not end the work
    app()
