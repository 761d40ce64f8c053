"""Files of the Hugging Face hub: those on this machine are used as they are, and only the others are fetched."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import ExpclipError, UsageError, option, quoted, reason
from .configuration import HUB_NAME

_REVISION = re.compile(r"[0-9A-Za-z_-][0-9A-Za-z_.-]*")
"""A commit, or another name of a folder: never a way out of the cache."""
_LONGEST_REFERENCE = 300


def cached(repository: str, name: str) -> Path | None:
    """Path of a file in the hub's cache on this machine, of the commit whose files are here.

    Not by the hub's own client: it finds nothing in a cache that was copied without its refs, or edited.
    """
    revision = commit(repository)
    path = revision and _folder(repository) / "snapshots" / revision / name
    return path if path and path.is_file() else None


@contextmanager
def offline() -> Iterator[None]:
    """No request meanwhile, also none that the hub's client makes of its own accord: it has no other switch."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _folder(repository: str) -> Path:
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repository, repo_type="model")


def is_whole(path: Path) -> bool | None:
    """Whether a file of the hub's cache has the digest that it is named after; None for a file with no such name.

    Large files are named after the SHA-256 of their bytes, small ones after git's digest of them.
    """
    blob = path.resolve()
    if blob.parent.name != "blobs" or not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", blob.name):
        return None
    with blob.open("rb") as file:
        if len(blob.name) == 64:
            return hashlib.file_digest(file, "sha256").hexdigest() == blob.name
        content = file.read()
        return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest() == blob.name


def fetch(repository: str, name: str) -> Path:
    """Download a file. Raises as `recorded_sha256` does."""
    from huggingface_hub import hf_hub_download

    recorded_sha256(repository, name)  # fails at once without a network, where the download would keep trying
    try:
        return Path(hf_hub_download(repository, name, revision=commit(repository)))
    except Exception as error:
        raise _unreachable(repository, name, error) from error


def recorded_sha256(repository: str, name: str) -> str | None:
    """SHA-256 of a large file as the hub has it on record; None for small files.

    Raises as `etag` does, and UsageError where there is no such file.
    """
    recorded = etag(repository, name)
    if recorded is None:
        raise UsageError(f"{repository} has no {name} on the hub: is it the right repository?")
    return recorded if re.fullmatch(r"[0-9a-f]{64}", recorded) else None


def commit(repository: str) -> str | None:
    """The commit whose files are here: what is still missing is fetched from it too, whatever the hub has by now.

    refs/main says which; where it says nothing, the only snapshot is meant. None where there are none or several.
    """
    if not HUB_NAME.holds(repository):
        return None
    reference = _folder(repository) / "refs" / "main"
    with suppress(OSError, ValueError):
        if reference.is_file() and reference.stat().st_size < _LONGEST_REFERENCE:
            said = reference.read_text(encoding="ascii").strip()
            if _REVISION.fullmatch(said):
                return said
    snapshots = _snapshots(repository)
    return snapshots[0] if len(snapshots) == 1 else None


def _snapshots(repository: str) -> list[str]:
    """The commits of which the cache has a folder, whatever refs/main says."""
    try:
        return sorted(path.name for path in (_folder(repository) / "snapshots").iterdir() if path.is_dir())
    except OSError:
        return []


def etag(repository: str, name: str) -> str | None:
    """What the hub calls the content of a file; None where it has no such file.

    Raises UsageError where it has no such repository, ExpclipError without a network.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError

    try:
        return get_hf_file_metadata(hf_hub_url(repository, name, revision=commit(repository))).etag
    except RepositoryNotFoundError as error:
        raise UsageError(
            f"{repository} is not a folder here, and the hub has no such repository (or it is private: log in first)"
        ) from error
    except EntryNotFoundError:
        return None
    except Exception as error:  # the hub's client lets errors of several HTTP libraries through
        raise _unreachable(repository, name, error) from error


def _unreachable(repository: str, name: str, error: Exception) -> ExpclipError:
    snapshots = _snapshots(repository) if HUB_NAME.holds(repository) and commit(repository) is None else []
    if snapshots:
        which = f"{len(snapshots)} snapshots ({', '.join(snapshots[:3])}) and no refs/main that says which is meant"
        return ExpclipError(f"{_folder(repository)} has {which}: write the name of the right one into refs/main")
    return ExpclipError(
        f"{repository}: {name} is not on this machine and could not be fetched ({reason(error)}). Run `hf download "
        f"{quoted(repository)} --local-dir DIR` where there is a network, and name that folder ({option('teacher')} "
        f"DIR, {option('clip')} local-dir:DIR or flava@DIR); or run `expclip weights fetch` there, and copy the "
        "hub's cache ($HF_HOME)"
    )
