"""The image features of a data set that a head is imported for."""

from ..cache.header import Header
from ..commands.heads import ImportHead
from ..errors import UsageError
from ..manifests.manifest import Manifest
from ..pipeline.needs import Need, chosen_store, why_missing
from ..pipeline.rereading import known_manifest
from ..pipeline.workspace import Workspace


def cached_images(request: ImportHead) -> tuple[Manifest, Header]:
    """A data set with what is known of its features. Raises UsageError where the cache has none such."""
    workspace = Workspace.of(request, [request.features])
    need = Need(request.features, "clip_image", request.clip, protocol=request.protocol, dtype=request.dtype)
    manifest = known_manifest(workspace, request.features)
    store = chosen_store(workspace, manifest, need) if manifest else None
    if manifest is None or store is None:
        raise UsageError(why_missing(workspace, [need]))
    return manifest, store.header
