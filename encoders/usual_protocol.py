"""Which protocol a CLIP follows where none is asked for."""

from pathlib import Path

from ..errors import ExpclipError
from ..manifests.protocols import NATIVE, RELEASED
from .configuration import read_object
from .names import FOLDER_CONFIG, OPENAI, RANDOM, ModelName

_OF_OPENAI = {
    *("RN50", "RN101", "RN50x4", "RN50x16", "RN50x64"),
    *("ViT-B-32", "ViT-B-16", "ViT-L-14", "ViT-L-14-336"),
}
"""Architectures that OpenAI published weights of."""


def clip_protocol(asked: ModelName) -> str:
    """`released` for OpenAI's CLIPs, which Exp-CLIP's code gives such pixels, and for what is fitted to them.

    That are files of weights of OpenAI's architectures, and what comes with expclip. Of other models their tag, their
    repository or the configuration in their folder says on which pixels they were trained.
    """
    if asked.is_builtin:
        return RELEASED
    if asked.is_hub:
        return RELEASED if asked.source.lower().endswith(f".{OPENAI}") else NATIVE
    if asked.architecture:
        is_tag = not (asked.is_path or asked.source == RANDOM or Path(asked.source).is_file())
        of_openai = asked.architecture.removesuffix("-quickgelu") in _OF_OPENAI
        return RELEASED if of_openai and (not is_tag or asked.source.lower() == OPENAI) else NATIVE
    return NATIVE if _says_pixels(Path(asked.source).expanduser()) else RELEASED


def _says_pixels(folder: Path) -> bool:
    """Whether the configuration in a folder says what images were to its model."""
    try:
        return bool(read_object(folder / FOLDER_CONFIG).get("preprocess_cfg"))
    except (ExpclipError, OSError):  # which is said where the model is looked for
        return False
