"""The options that several commands share, each declared once."""

from ..encoders.dtypes import DTYPES
from ..encoders.names import DEFAULT_CLIP, DEFAULT_TEACHER
from ..heads.objectives import OBJECTIVES
from ..manifests import limits
from ..manifests.frames import POLICIES
from ..manifests.prompts import DEFAULT_INSTRUCTION, PROMPT_SETS
from ..manifests.protocols import PROTOCOLS
from ..manifests.reading import ORDERS
from .request import ask

Names = tuple[str, ...]

EXECUTORS = {"local": "pipeline.run_local:run", "dask": "pipeline.run_dask:run"}
"""The ways in which a plan is run, each a function that is loaded when it is used."""
ENSEMBLES = ("logits", "embeddings")
SIDES = ("clip", "llm")
"""What encodes images, and what encodes prompts. The projection leads from CLIP's space to the LLM's."""

DATASETS = ask(
    "Names (see `expclip datasets list`), NAME:SPLIT, paths, or TITLE=PATH.",
    metavar="DATASET…",
    is_argument=True,
    in_file=False,
)
CACHE = ask(
    "The cache folder; `auto` is $EXPCLIP_CACHE, else expclip.toml, else ./expclip-cache.",
    None,
    unset="auto",
    in_file=False,
)
ROOT = ask(
    "Where a named data set is; repeat for several. expclip.toml has a table [roots] for them.",
    (),
    metavar="[NAME=]DIR",
    unset="none",
    in_file=False,
)
CLIP = ask(
    "ViT-B-32, ViT-B-16, ViT-L-14 (OpenAI's), ARCH@TAG, ARCH@FILE, ARCH@random, hf-hub:OWNER/REPO, local-dir:PATH, "
    "farl-b16@FILE, flava, flava@FOLDER, miniature, or emotionclip@FILE and the like (docs/systems.md); repeat to "
    "sweep.",
    (DEFAULT_CLIP,),
    metavar="NAME",
    in_defaults=True,
)
TEACHER = ask(
    "A BLIP-2 with a T5: OWNER/REPOSITORY, a folder or miniature.", DEFAULT_TEACHER, metavar="NAME", in_defaults=True
)
INSTRUCTION = ask(
    "related-1, related-2, related-3, unrelated-1, empty, random-1, …; a text with a space in it; a .txt file; "
    "repeat to sweep.",
    (DEFAULT_INSTRUCTION,),
    metavar="NAME|TEXT|FILE",
)
PROTOCOL = ask(
    "As the released code, as the paper, or as each model was trained. `own` is released for OpenAI's models and "
    "those that come with expclip, native for others: see docs/protocols.md.",
    None,
    choices=PROTOCOLS,
    unset="own",
    in_defaults=True,
)
OBJECTIVE = ask(
    "infonce (cosines with a normalised e_G), or mse (squared error, e_G as it is stored).",
    "infonce",
    choices=OBJECTIVES,
)
HEAD = ask(
    "`none` is the backbone as it is; the file or folder of a head; all heads of the cache with a kind, instruction, "
    "teacher, objective, train or seed, for example kind=linear,seed=1; the beginning of an id; repeat for several. "
    "`all` is none and all heads of the cache that match.",
    (),
    metavar="none|PATH|FIELD=VALUE,…|ID",
    unset="all",
)
PROMPTS = ask(
    'P-1 … P-5; `descriptions`, of what faces do; a .json file with {"class": ["prompt", …], …} or {"templates": '
    '["… {class} …", …]}; a .txt file with one template per line.',
    PROMPT_SETS,
    metavar="SET|FILE",
)
ENSEMBLE = ask(
    "Of several prompts per class: average the `logits` behind the head (as released), or the normalised "
    "`embeddings` before it (CLIP's own habit).",
    ENSEMBLES[0],
    choices=ENSEMBLES,
)
FRAMES = ask("Frames of a clip.", "released", choices=POLICIES)
CLASSES = ask(
    "The classes that are told apart, in this order, which is that of the numbers 0, 1, … of folders and lists too. "
    "`common` says that numbers are the common order; `auto` is every class that the data set has.",
    (),
    metavar="A,B,…|common",
    unset="auto",
)
ORDER = ask(
    "Of a clip's frames whose numbers have no leading zeros: `native` by number, `released` as text, as the released "
    "code; `auto` is released for data sets that have a name.",
    None,
    choices=ORDERS,
    unset="auto",
)
BATCH_SIZE = ask(
    "Images that an encoder sees at once; `auto` is 32, and on CUDA grows while that makes it faster. What is "
    "too much for the memory is halved.",
    None,
    unset="auto",
    least=1,
    in_defaults=True,
)
ONE_DEVICE = ask("cpu, cuda, cuda:N or mps; `auto` is the best one here.", None, unset="auto", in_defaults=True)
DEVICE = ONE_DEVICE.but(
    help="cpu, cuda, cuda:N or mps; `auto` is the best one here. Several GPUs, cuda:all or cuda:0,1, have a worker "
    "each on Dask; with --scheduler cuda:all is the GPUs of its workers (docs/several-gpus.md)."
)
DTYPE = ask(
    "The dtype of the vision towers; `auto` is float16 on CUDA, else float32. T5 is float32 with float32, else "
    "bfloat16; under `auto` as its features in the cache, or where there are none bfloat16, but float32 on a CPU "
    "that would emulate it.",
    None,
    choices=DTYPES,
    unset="auto",
    in_defaults=True,
)
WORKERS = ask(
    "Processes that decode images; 0 decodes in this one, which a file that crashes its decoder then ends. With "
    "several GPUs, those of each; with --executor dask and another device, its workers.",
    None,
    unset="auto",
    least=0,
    most=1024,
    in_defaults=True,
)
MAX_MEGAPIXELS = ask(
    "Images and frames of more million pixels are not decoded: their rows fail, until a larger limit is given.",
    limits.MAX_MEGAPIXELS,
    metavar="N",
    least=1,
    in_defaults=True,
)
EXECUTOR = ask(
    "In this process or on Dask; `auto` is dask with --scheduler or several GPUs, else local.",
    None,
    choices=EXECUTORS,
    unset="auto",
    in_defaults=True,
)
SCHEDULER = ask(
    "A running Dask scheduler, for example tcp://host:8786.", None, metavar="ADDR", unset="none", in_defaults=True
)
