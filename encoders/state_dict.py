"""The tensors of a file that torch wrote: found in whatever it holds besides, and made without running any of it."""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from ..errors import ExpclipError, UsageError, brief, reason
from .archives import Archive, Storage, opened, storage
from .pickled import Made, Name, Outside
from .systems import SYSTEMS, System

Tensors = dict[str, torch.Tensor]

_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "module", "weights", "clip")
"""What training scripts call the weights in their checkpoints, in the order in which they are looked for."""
_PREFIXES = ("module.", "_orig_mod.")
"""What DataParallel and torch.compile put before every name."""
_MOST_NAMES, _LONGEST_NAME, _DEEPEST = 100_000, 500, 64
_SPARE, _TIMES = 1 << 20, 4
"""Tensors may share storages: together they take no more than some times the file, and a little."""

_DTYPES = {
    "Float": torch.float32,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Double": torch.float64,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
}
_VIEWS = {"torch._utils._rebuild_tensor": 4, "torch._utils._rebuild_tensor_v2": 6}
"""Functions that make a tensor of a storage, with their fewest arguments."""
_PARAMETERS = (
    *("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state"),
    "torch.nn.parameter.Parameter",
)
_NOT_READ = {
    "torch._utils._rebuild_qtensor": "quantised",
    "torch._utils._rebuild_sparse_tensor": "sparse",
    "torch._utils._rebuild_sparse_csr_tensor": "sparse",
    "torch._utils._rebuild_nested_tensor": "nested",
    "torch._utils._rebuild_meta_tensor_no_storage": "without values",
    "torch._utils._rebuild_tensor_v3": "of a kind that CLIPs have none of",
    "torch._utils._rebuild_wrapper_subclass": "a subclass",
    "torch._tensor._rebuild_from_type_v2": "a subclass",
}
_ALLOWED = {
    *(*_VIEWS, *_PARAMETERS, *_NOT_READ),
    *("collections.OrderedDict", "torch.Size", "torch.device", "torch.serialization._get_layout"),
}
"""What a file may name that open_clip reads by itself, besides storages and dtypes."""


@dataclass(frozen=True)
class View:
    """A tensor as a pickle describes it."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def bytes(self) -> int:
        return prod(self.size) * self.storage.width

    def checked(self) -> "View":
        """Itself. Raises ValueError where it reaches beyond its storage."""
        if self.storage.kind not in _DTYPES:
            raise ValueError(f"it holds values of the kind {self.storage.kind}")
        numbers = (self.offset, *self.size, *self.stride)
        if len(self.size) != len(self.stride) or min(numbers) < 0 or max(numbers) >= 2**63:
            raise ValueError("its shape is none")
        last = self.offset + sum((n - 1) * step for n, step in zip(self.size, self.stride, strict=True))
        if prod(self.size) and last >= self.storage.values:
            raise ValueError("it reaches beyond its storage")
        return self


def read_tensors(path: Path, system: System) -> tuple[Tensors, list[str]]:
    """The weights of a file, and the names of what its state dict holds besides tensors.

    Raises ExpclipError where there are none, or where one is not sound.
    """
    with opened(path) as archive:
        _require_system(archive, system)
        _require_known_names(archive, system)
        views, others = _views(archive, system)
        uses = Counter(view.storage.key for view in views.values())
        shared = {key for key, times in uses.items() if times > 1}
        kept: Tensors = {}
        return {name: _tensor(archive, view, shared, kept) for name, view in views.items()}, others


def _require_system(archive: Archive, system: System) -> None:
    if archive.is_torchscript != system.is_torchscript:
        other = next(name for name, one in SYSTEMS.items() if one.is_torchscript == archive.is_torchscript)
        what = "a TorchScript archive" if archive.is_torchscript else "no TorchScript archive"
        command = f"expclip weights convert {other} {archive.path}"
        raise UsageError(f"{archive.path} is {what}: `{command}` reads those")


def _require_known_names(archive: Archive, system: System) -> None:
    foreign = [name for name in besides_tensors(archive) if name not in (system.may_name or ())]
    if foreign and system.may_name is not None:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise ValueError(f"it names {brief(foreign[0])}{more}, which no file of this system does")


def require_loadable(path: Path) -> None:
    """Raise ExpclipError where a file of weights holds more than tensors, or what no CLIP is loaded from."""
    if path.suffix == ".safetensors":
        _require_floats(path)
    elif path.suffix not in (".npz", ".npy"):
        _require_tensors(path)


def _require_tensors(path: Path) -> None:
    with opened(path) as archive:
        if archive.is_torchscript:
            convert = f"`expclip weights convert openai-jit {path}`"
            raise ExpclipError(
                f"{path} is TorchScript, which is a program and is not run: {convert} takes its weights"
            )
        others = besides_tensors(archive)
        if others:
            raise ExpclipError(
                f"{path} holds pickled Python objects besides tensors ({brief(others[0])}), which are not loaded: "
                f"they may run any program. `expclip weights convert clip {path}` takes the tensors alone"
            )
        _views(archive, System(""))


def besides_tensors(archive: Archive) -> list[str]:
    """What else than tensors, and what they are made of, the pickle of a file names."""
    return sorted(name for name in archive.names if name not in _ALLOWED and not _is_kind(name))


def _is_kind(name: str) -> bool:
    """Whether a name is that of a dtype or of a class of storages or tensors."""
    module, _, kind = name.rpartition(".")
    return module in ("torch", "torch.storage") and (
        kind.endswith(("Storage", "Tensor")) or isinstance(getattr(torch, kind, None), torch.dtype | torch.qscheme)
    )


def _require_floats(path: Path) -> None:
    try:
        with safe_open(path, framework="pt") as tensors:
            kinds = {name: tensors.get_slice(name).get_dtype() for name in tensors.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, RuntimeError) as error:
        raise ExpclipError(f"{path} does not hold the weights of this model ({reason(error)})") from error
    for name, kind in kinds.items():
        if name.endswith(".weight") and not kind.startswith(("F", "BF")):
            raise ExpclipError(f"{path}: {brief(name)} holds {kind}: quantised weights are not supported")


def _views(archive: Archive, system: System) -> tuple[dict[str, View], list[str]]:
    """The tensors by their names in the model, and the names of what is none."""
    is_program = archive.is_torchscript
    entries = list(_attributes(archive.root)) if is_program else list(_state_dict(archive.root).items())
    views: dict[str, View] = {}
    others: list[str] = []
    for name, value in entries:
        try:
            view = _view(value)
        except ValueError as error:
            raise ValueError(f"{brief(name)}: {error}") from error
        if view is None:
            others.append(brief(name))
        else:
            views[_sound(name, view)] = view
    if len(views) > _MOST_NAMES:
        raise ValueError(f"it has {len(views):,} tensors")
    total, most = sum(view.bytes for view in views.values()), archive.path.stat().st_size * _TIMES + _SPARE
    if total > most:
        raise ValueError(f"its tensors would take {total:,} bytes, of which the file has few")
    named = {name: view for name, view in _without_prefix(views).items() if name not in system.not_weights}
    views = {name: view for name, view in named.items() if not name.startswith(system.other_tasks)}
    others += [name for name in named if name not in views]
    if not views:
        raise ValueError("it has no tensors")
    return views, [] if is_program else others


def _sound(name: Any, view: View) -> str:
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= _LONGEST_NAME or name[:2] == "__":
        raise ValueError(f"{brief(name)} is no name of a tensor")
    if name.endswith(".weight") and not _DTYPES[view.storage.kind].is_floating_point:
        raise ValueError(f"{brief(name)} holds {_DTYPES[view.storage.kind]}: quantised weights are not supported")
    return name


def _without_prefix(views: dict[str, View]) -> dict[str, View]:
    for prefix in _PREFIXES:
        if views and all(name.startswith(prefix) and name != prefix for name in views):
            return _without_prefix({name.removeprefix(prefix): view for name, view in views.items()})
    return views


def _state_dict(root: Any) -> dict[Any, Any]:
    """The mapping that holds the weights, in a checkpoint that may hold much else, and itself."""
    looked_at: set[int] = set()

    def look(at: Any, depth: int) -> dict[Any, Any] | None:
        if not isinstance(at, dict) or id(at) in looked_at or depth > _DEEPEST:
            return None
        looked_at.add(id(at))
        inner = next(filter(None, (look(at.get(key), depth + 1) for key in _WRAPPERS)), None)
        return inner or (at if any(map(_is_tensor, at.values())) else None)

    found = look(root, 0)
    if found is None and isinstance(root, Made):
        raise ValueError(f"it is a whole object of Python, {brief(_by(root))}, and no state dict")
    if found is None:
        raise ValueError("it has no state dict with tensors")
    return found


def _attributes(root: Any) -> Iterator[tuple[str, Any]]:
    """The attributes of a module of TorchScript and of those in it, by dotted names."""
    steps = 0
    waiting = [("", root)]
    while waiting:
        prefix, module = waiting.pop()
        if prefix.count(".") > _DEEPEST or not isinstance(module, Made) or not isinstance(module.state, dict):
            raise ValueError("its modules are none that TorchScript writes")
        for key, value in module.state.items():
            steps += 1
            if steps > _MOST_NAMES:
                raise ValueError("it has too many attributes")
            if isinstance(value, Made) and _by(value).startswith("__torch__."):
                waiting.append((f"{prefix}{key}.", value))
            elif _is_tensor(value):
                yield f"{prefix}{key}", value


def _by(made: Made) -> str:
    return made.by.path if isinstance(made.by, Name) else ""


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Made) and _by(value) in {*_VIEWS, *_PARAMETERS, *_NOT_READ}


def _view(value: Any) -> View | None:
    """What a pickle describes as a tensor; None where it is none. Raises ValueError where it cannot be read."""
    if not _is_tensor(value):
        return None
    path, arguments = _by(value), value.arguments
    if path in _NOT_READ:
        raise ValueError(f"it is {_NOT_READ[path]}")
    match arguments:
        case (inner, *_) if path in _PARAMETERS and _is_tensor(inner) and _by(inner) not in _PARAMETERS:
            return _view(inner)
        case (Outside(known_as), int(offset), tuple(size), tuple(stride), *rest) if len(rest) + 4 >= _VIEWS.get(
            path, 99
        ):
            if all(type(one) is int for one in (offset, *size, *stride)):
                return View(storage(known_as), offset, size, stride).checked()
    raise ValueError("it is no tensor that torch writes")


def _tensor(archive: Archive, view: View, shared: Collection[str], kept: Tensors) -> torch.Tensor:
    """The values of a view; storages that several views share are read once, and copied for each."""
    key = view.storage.key
    flat = kept[key] if key in kept else _values(archive, view.storage)
    if key not in shared:
        return flat.as_strided(view.size, view.stride, view.offset).contiguous()
    kept[key] = flat
    return flat.as_strided(view.size, view.stride, view.offset).clone(memory_format=torch.contiguous_format)


def _values(archive: Archive, of: Storage) -> torch.Tensor:
    content = archive.bytes_of(of.key)
    if len(content) != of.values * of.width:
        raise ValueError(
            f"the storage {brief(of.key)} has {len(content):,} bytes instead of {of.values * of.width:,}"
        )
    return (
        torch.frombuffer(bytearray(content), dtype=_DTYPES[of.kind])
        if content
        else torch.empty(0, dtype=_DTYPES[of.kind])
    )
