"""The files that a tokenizer of transformers is read from."""

from .. import hub
from ..checkpoint import Checkpoint
from ..hashes import Hashes

TOKENIZER_FILES = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "vocab.txt", "merges.txt", "sentencepiece.bpe.model", "spiece.model"),
)
WHOLE = "tokenizer.json"
"""A file that holds all that the others say of words."""
_VOCABULARY = (WHOLE, *TOKENIZER_FILES[-4:])
KIND_FILE = "config.json"
"""What says which tokenizer it is where nothing else does."""


def tokenizer_files(checkpoint: Checkpoint, may_ask: bool) -> tuple[str, ...]:
    """Those that a checkpoint has; of the hub only what is read, and only what is on this machine unless it may ask.

    A vocabulary is fetched last: where one is on this machine, all that the hub has is. Raises as `Checkpoint.first`
    does.
    """
    here = tuple(filter(checkpoint.here, TOKENIZER_FILES))
    if checkpoint.is_local:
        return here
    if may_ask and not set(here) & set(_VOCABULARY):
        here = tuple(name for name in TOKENIZER_FILES if hub.etag(checkpoint.place, name) is not None)
    needed = [name for name in here if name == WHOLE or name not in _VOCABULARY or WHOLE not in here]
    return tuple(sorted(needed, key=_VOCABULARY.__contains__))


def tokenizer_digests(checkpoint: Checkpoint, hashes: Hashes) -> dict[str, str]:
    """SHA-256 of each file by its name. Raises ExpclipError where a file of the hub cannot be had."""
    found = {name: checkpoint.sha256(name, hashes) for name in tokenizer_files(checkpoint, may_ask=True)}
    return {name: found[name] for name in TOKENIZER_FILES if name in found}
