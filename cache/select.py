"""Which stores of the cache a request means."""

from collections.abc import Iterator
from typing import Any

from ..manifests.prompts import text_mark
from .header import Header
from .store import FeatureStore


def matches(header: Header, node: str, wanted: dict[str, str]) -> bool:
    """Whether a store is of a node and has the wanted values in its header."""
    return header.node == node and all(_is_meant(header, name, value) for name, value in wanted.items())


def _is_meant(header: Header, name: str, value: str) -> bool:
    """A model may be given by its digest; a user's instruction is its text, whatever title it was extracted under."""
    if getattr(header, name) == value:
        return True
    if name == "model":
        return len(value) >= 8 and header.encoder_digest.startswith(value)
    text = header.spec.get("instruction")
    return name == "instruction" and isinstance(text, str) and value.endswith(text_mark(text))


def describe(wanted: dict[str, str]) -> str:
    """Wanted values as a message names them."""
    return ", ".join(f"{name} {value or 'none'}" for name, value in wanted.items() if name != "rows_digest")


def differences(stores: list[FeatureStore]) -> str:
    """Where the specs of some stores differ."""
    flat = [dict(_flatten(store.header.spec)) | {"digest": store.header.encoder_digest[:12]} for store in stores]
    names = sorted({name for one in flat for name in one if len({repr(other.get(name)) for other in flat}) > 1})
    shown = [f"{name} ({', '.join(str(one.get(name)) for one in flat)})" for name in names]
    return "; ".join(shown) or "their data"


def _flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _flatten(inner, f"{prefix}.{name}" if prefix else name)
    else:
        yield prefix, value
