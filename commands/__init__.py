"""What can be asked, and how it is shown: one file per command, and none of them loads a model."""

from functools import cache

from ..lazy import load
from .command import Command

COMMANDS = {
    "extract": ("extract:EXTRACT", "Run frozen models once over images and clips, and keep their embeddings."),
    "fit-head": ("fit_head:FIT_HEAD", "Train heads from cached features, in seconds."),
    "evaluate": (
        "evaluate:EVALUATE",
        "Score cached test features for every combination of data sets, heads and prompts.",
    ),
    "predict": ("predict:PREDICT", "Label images and videos with one head, or with a model as it is."),
    "reproduce": (
        "reproduce:REPRODUCE",
        "Show the paper's tables: our numbers, the published ones, the difference, and what is missing for the rest.",
    ),
    "crop": (
        "crop:CROP",
        "Cut one face out of every image of a folder, or all of them, with boxes from a list or a face detector.",
    ),
    "report": ("report:REPORT", "Write one HTML page of evaluations, to look through and to hand over."),
    "figures": ("figures:FIGURES", "Draw figures of cached features, as PNG and PDF."),
    "demo": ("demo:DEMO", "Run the whole method on built-in faces with miniature models, offline, on a CPU."),
    "doctor": (
        "doctor:DOCTOR",
        "Show versions and devices, and try every encoder on this machine's GPU against its CPU.",
    ),
    "datasets list": ("datasets:LIST_DATASETS", "The data sets that have a name."),
    "datasets audit": (
        "datasets:AUDIT_DATASETS",
        "Read every file of a data set and report what is missing, broken, double or unlike the published counts.",
    ),
    "cache list": ("cache:LIST_CACHE", "The feature stores of the cache, and how far they are."),
    "cache export": ("cache:EXPORT_STORE", "Write one store to one HDF5 file."),
    "cache import": ("cache:IMPORT_STORES", "Bring exported stores into the cache."),
    "cache verify": ("keeping:VERIFY_CACHE", "Read every byte of the cache, and say what is not as it was written."),
    "cache repair": (
        "keeping:REPAIR_CACHE",
        "Withdraw what `cache verify` finds damaged, and print the commands that make it anew.",
    ),
    "cache gc": (
        "keeping:COLLECT_GARBAGE",
        "List what nobody needs: leftovers of killed processes, and stores of which no manifest here has the rows.",
    ),
    "cache rm": (
        "keeping:REMOVE_STORES",
        "Remove stores, or all that the cache has of a data set. Its images and videos stay.",
    ),
    "heads list": ("heads:LIST_HEADS", "The heads of the cache."),
    "heads import": (
        "heads:IMPORT_HEAD",
        "Bring a head into the cache: one of Exp-CLIP's released files, or what `expclip heads export` wrote.",
    ),
    "heads export": ("heads:EXPORT_HEAD", "Write a head to one file. `evaluate --head FILE` takes the .safetensors."),
    "heads rm": ("heads:REMOVE_HEADS", "Remove heads from the cache, damaged ones too. Nothing is asked."),
    "weights list": (
        "weights:LIST_WEIGHTS",
        "The models that have a name: what they need, where it comes from, and what of it is here.",
    ),
    "weights fetch": ("weights:FETCH_WEIGHTS", "Fetch models ahead, for machines without a network."),
    "weights check": (
        "weights:CHECK_WEIGHTS",
        "Read every byte of what is here, and compare it with the digests on record.",
    ),
    "weights convert": (
        "weights:CONVERT_WEIGHTS",
        "Write the weights of a CLIP that was published as a pickle or as TorchScript as safetensors.",
    ),
}
"""By what is typed: where the command is, and what the help lists it by, which begins its own help too."""

GROUPS = {
    "datasets": "The data sets: what there is, and what is wrong with a copy.",
    "cache": "The cache: what it holds, whether it is sound, and handing stores over.",
    "heads": "The heads: what the cache has, bringing others in, handing them over, removing them.",
    "weights": "The models' weights: what they need, fetching it ahead, whether it is complete, other formats.",
}


@cache
def command(verb: str) -> Command:
    """A command by what is typed."""
    return load(f"commands.{COMMANDS[verb][0]}")
