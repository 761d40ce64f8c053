"""Content addresses: a store is named by the hash of everything that determines its values."""

import hashlib
import json
from typing import Any


def digest(value: Any) -> str:
    """SHA-256, as hex, of the canonical JSON (sorted keys, no spaces) of a JSON-like value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def store_key(spec: dict[str, Any], rows_digest: str) -> str:
    """The key of the features that a frozen encoder, described by its spec, gives for some rows."""
    return digest({"spec": spec, "rows": rows_digest})


def slug(name: str) -> str:
    """A file-name-safe form of a model's name."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in name).strip("-.")[:60]
