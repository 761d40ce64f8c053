"""Files of the Hugging Face hub: what is on this machine is used as it is, and only what is not is fetched."""

import hashlib
import re
from pathlib import Path

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError
from huggingface_hub.file_download import repo_folder_name

from ..errors import ExpclipError, UsageError
from .wording import reason


def cached(repository: str, name: str) -> Path | None:
    """Path of a file in the hub's cache on this machine."""
    found = try_to_load_from_cache(repository, name)
    return Path(found) if isinstance(found, str) else None


def snapshot(repository: str) -> Path | None:
    """The folder of those files of a repository that are on this machine, of the commit that is used."""
    known = commit(repository)
    folder = _folder(repository) / "snapshots" / known if known else None
    return folder if folder and folder.is_dir() else None


def is_whole(path: Path) -> bool | None:
    """Whether a file of the hub's cache has the digest that it is named by; None for a file with no such name.

    Large files are named by the SHA-256 of their bytes, small ones by git's digest of them.
    """
    blob = path.resolve()
    if blob.parent.name != "blobs" or not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", blob.name):
        return None
    with blob.open("rb") as file:
        if len(blob.name) == 64:
            return hashlib.file_digest(file, "sha256").hexdigest() == blob.name
        content = file.read()
        return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest() == blob.name


def exists(repository: str, name: str) -> bool:
    """Whether the hub has a file. Raises UsageError where it has no such repository, ExpclipError without network."""
    return _etag(repository, name) is not None


def fetch(repository: str, name: str) -> Path:
    """Path of a file, downloaded where it is not here yet. Raises as `exists` does, or if there is none."""
    here = cached(repository, name)
    if here is not None:
        return here
    _needed_etag(repository, name)  # fails at once without a network, where the download would go on trying
    try:
        return Path(hf_hub_download(repository, name, revision=commit(repository)))
    except Exception as error:
        raise _unreachable(repository, name, error) from error


def recorded_sha256(repository: str, name: str) -> str | None:
    """SHA-256 of a large file as the hub has it on record; None for small files, which have another kind of name."""
    etag = _needed_etag(repository, name)
    return etag if re.fullmatch(r"[0-9a-f]{64}", etag) else None


def commit(repository: str) -> str | None:
    """The commit whose files are here: what is still missing is fetched from it too, whatever the hub has by now."""
    reference = _folder(repository) / "refs" / "main"
    return reference.read_text(encoding="ascii").strip() if reference.is_file() else None


def _folder(repository: str) -> Path:
    return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repository, repo_type="model")


def _etag(repository: str, name: str) -> str | None:
    try:
        return get_hf_file_metadata(hf_hub_url(repository, name, revision=commit(repository))).etag
    except RepositoryNotFoundError as error:
        raise UsageError(
            f"{repository} is no folder here, and the hub has no such repository (or it is private: log in first)"
        ) from error
    except EntryNotFoundError:
        return None
    except Exception as error:  # the hub's client lets errors of several HTTP libraries through
        raise _unreachable(repository, name, error) from error


def _needed_etag(repository: str, name: str) -> str:
    etag = _etag(repository, name)
    if etag is None:
        raise UsageError(f"{repository} has no {name} on the hub: is it the right repository?")
    return etag


def _unreachable(repository: str, name: str, error: Exception) -> ExpclipError:
    return ExpclipError(
        f"{repository}: {name} is not on this machine and could not be fetched ({reason(error)}). Run "
        f"`hf download {repository} --local-dir DIR` where there is a network, and name that folder (--teacher DIR, "
        f"--clip local-dir:DIR); or `expclip weights fetch` there, and bring the hub's cache ($HF_HOME) here"
    )
