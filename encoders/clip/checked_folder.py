"""The folder that open_clip is given in place of a stranger's: what was checked, and nothing else.

open_clip and transformers follow whatever a folder says: Python files, paths, names on the hub. Here is none of it.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import transformers
from open_clip.hf_configs import arch_dict
from transformers import CONFIG_MAPPING, PreTrainedConfig, PreTrainedTokenizerBase

from ...cache.files import writing
from ...errors import ExpclipError, UsageError, brief, option, quoted
from ..checkpoint import Checkpoint
from ..configuration import (
    FLAG,
    HUB_NAME,
    LAYERS,
    MOST_TOKENS,
    NOTHING,
    TEXT,
    Rule,
    checked,
    number,
    read_object,
    require_vocabulary,
    section,
    whole,
    word,
)
from ..names import LOCAL_DIR
from ..tokenizer_steps import refuse_endless_steps
from .clip_fields import FOLDER_CONFIG
from .found import ClipModel
from .tokenizer_files import KIND_FILE, WHOLE, tokenizer_files

_TOKENIZER_CONFIG = "tokenizer_config.json"
_PLACE = "$TMPDIR"
"""What chooses where such folders are."""

_PLAIN = NOTHING | FLAG | whole(-1, MOST_TOKENS) | number(-1e30, 1e30) | TEXT
_TOKEN = (
    NOTHING
    | TEXT
    | section(
        {
            "content": TEXT,
            "__type": TEXT,
            **dict.fromkeys(("lstrip", "rstrip", "normalized", "single_word", "special"), FLAG),
        }
    )
)
_TOKENS = Rule(
    "a list of tokens",
    lambda value: (
        isinstance(value, list | dict)
        and all(map(_TOKEN.holds, value.values() if isinstance(value, dict) else value))
    ),
)
_SPECIAL = {
    **dict.fromkeys(
        ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"), _TOKEN
    ),
    **dict.fromkeys(("additional_special_tokens", "extra_special_tokens"), NOTHING | _TOKENS),
}
_TOKENIZER = _SPECIAL | {
    "added_tokens_decoder": _TOKENS,
    "tokenizer_class": NOTHING | Rule("a tokenizer of transformers", lambda value: _is_tokenizer(value)),
    "errors": word("strict", "ignore", "replace"),
    "padding_side": word("left", "right"),
    "truncation_side": word("left", "right"),
    **dict.fromkeys(("src_lang", "tgt_lang", "backend", "truncation_strategy"), NOTHING | TEXT),
    "sp_model_kwargs": NOTHING | Rule("an empty mapping", lambda value: value == {}),
}
_WHERE_IT_WAS = ("name_or_path", "processor_class", "chat_template", "transformers_version")
"""Keys without effect on tokens, which are left out, as are those that end with `_file`: a path is never followed."""


def _is_tokenizer(name: Any) -> bool:
    known = TEXT.holds(name) and name.isidentifier()
    found = known and getattr(transformers, name, getattr(transformers, name.removesuffix("Fast"), None))
    return isinstance(found, type) and issubclass(found, PreTrainedTokenizerBase)


@contextmanager
def checked_folder(model: ClipModel, tokenizer: bool = False) -> Iterator[str]:
    """`local-dir:FOLDER` for open_clip, with a model's configuration and, if asked, its folder's tokenizer.

    Raises UsageError for what cannot be used, ExpclipError where files of the hub cannot be had.
    """
    with writing(Path(os.environ.get("TMPDIR", "/tmp")), _PLACE):  # Python's own tempfile looks there first
        temporary = TemporaryDirectory(prefix="expclip-", ignore_cleanup_errors=True)
    with temporary as made:
        folder, config = Path(made), deepcopy(model.config)
        if config["text_cfg"].get("hf_model_name") and not tokenizer:
            (folder / "text").mkdir()
            _write(folder / "text" / KIND_FILE, _text_tower(model, config["text_cfg"]["hf_model_name"]))
            config["text_cfg"]["hf_model_name"] = str(folder / "text")
        _write(folder / FOLDER_CONFIG, {"model_cfg": config})
        if tokenizer and model.tokenizer_at:
            what = f"{option('clip')} {model.build_as}"
            _place_tokenizer(what, model.tokenizer_at, folder, may_ask=not model.is_local)
        yield f"{LOCAL_DIR}{folder}"


def _write(path: Path, content: Any) -> None:
    _write_bytes(path, json.dumps(content).encode())


def _write_bytes(path: Path, content: bytes) -> None:
    with writing(path.parent, _PLACE):
        path.write_bytes(content)


def _text_tower(model: ClipModel, name: str) -> dict[str, Any]:
    """What describes a text tower of transformers: only what its own configuration declares."""
    checkpoint = Checkpoint(name, is_local=False)
    if model.is_local and not (HUB_NAME.holds(name) and checkpoint.here(KIND_FILE)):
        raise ExpclipError(
            f"{option('clip')} {model.build_as}: its text tower is the hub's {brief(name)}, which is not on this "
            f"machine, and weights in a file never use the network: run `hf download {name} {KIND_FILE}` first"
        )
    content = checkpoint.json(KIND_FILE)
    kind = content.get("model_type")
    what = f"{option('clip')} {model.build_as}: {KIND_FILE} of {name}"
    if not isinstance(kind, str) or kind not in arch_dict:
        raise UsageError(f"{what} describes a {brief(kind)}, which open_clip has no text tower of")
    names = {one.name for one in fields(CONFIG_MAPPING[kind])} - {one.name for one in fields(PreTrainedConfig)}
    table = {name: LAYERS if name.endswith("layers") else _PLAIN for name in names}
    return {"model_type": kind} | checked(content, table, what, ignore_others=True)


def _place_tokenizer(what: str, source: Checkpoint, folder: Path, may_ask: bool) -> None:
    """The files of a tokenizer, without what would make them more than files."""
    names = tokenizer_files(source, may_ask)
    if not names and not source.is_local:
        raise ExpclipError(
            f"{what}: open_clip finds no tokenizer for it: that is the hub's {source.place}, which is not on this "
            f"machine, and weights in a file never use the network: run `hf download {quoted(source.place)} "
            f"{WHOLE} tokenizer_config.json` first"
        )
    for name in names:
        path = source.file(name)
        if name == WHOLE:
            refuse_endless_steps(path)
        else:
            require_vocabulary(path)
        if name == _TOKENIZER_CONFIG:
            _write(folder / name, _tokenizer_config(path))
        elif name == "special_tokens_map.json":
            _write(folder / name, checked(read_object(path), _SPECIAL, str(path)))
        else:
            _write_bytes(folder / name, path.read_bytes())
    if may_ask and not source.here(KIND_FILE):
        with suppress(ExpclipError):  # not every repository has one
            source.file(KIND_FILE)
    known = source.here(KIND_FILE)
    kind = read_object(known).get("model_type") if known else None
    if isinstance(kind, str) and kind in CONFIG_MAPPING:
        _write(folder / KIND_FILE, {"model_type": kind})


def _tokenizer_config(path: Path) -> dict[str, Any]:
    content = read_object(path)
    if "auto_map" in content:
        raise UsageError(f"{path}: this tokenizer asks for Python code of the folder (auto_map), which is never run")
    spoken = {key: one for key, one in content.items() if key not in _WHERE_IT_WAS and not key.endswith("_file")}
    return checked(spoken, _with_switches(spoken), str(path))


def _with_switches(content: Mapping[str, Any]) -> dict[str, Rule]:
    """The table, with a line for every further key that is a switch or a number: neither leads anywhere."""
    switch = NOTHING | FLAG | whole(-1, 10**40) | number(-1e40, 1e40)
    return dict.fromkeys(content, switch) | _TOKENIZER
