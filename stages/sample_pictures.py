"""The pictures of samples, to look at."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..manifests.animations import is_picture_clip
from ..manifests.manifest import Manifest
from ..pipeline.apart import Crew, Died
from ..pipeline.decode_file import preview


def sample_pictures(manifest: Manifest, frames: str, samples: np.ndarray) -> Iterator[np.ndarray | None]:
    """(height, width, 3) uint8 pixels of samples, of a clip its middle frame; None for those that cannot be read."""
    clips = manifest.samples(frames)
    calls = []
    for sample in samples.tolist():
        rows = clips.indices[clips.offsets[sample] : clips.offsets[sample + 1]]
        row = int(rows[len(rows) // 2])
        source = manifest.rows.sources[row]
        calls.append((Path(manifest.root) / source, int(manifest.rows.frames[row]), is_picture_clip(source)))
    with Crew(preview, 1) as crew:
        for one in crew.map(calls):
            yield None if isinstance(one, Died) else one
