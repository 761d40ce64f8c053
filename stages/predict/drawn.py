"""Pictures of what was predicted: images with bars, and of videos a video and a curve over time."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ...commands.predict import Prediction
from ...manifests.animations import is_picture_clip
from ...manifests.disk import distinct_names, file_safe, is_video_name, short_name
from ...pipeline.apart import Crew, Died, processes
from ...reports.annotated import Mark, annotate_picture, annotate_video
from ...reports.over_time import over_time
from ...reports.predicted import DRAWN
from .pictures import Pictures
from .predictor import Predictor


class Drawing:
    """What is to be drawn, gathered while it is predicted."""

    def __init__(self, predictor: Predictor, temperature: float, workers: int | None):
        self._predictor, self._temperature = predictor, temperature
        self._workers = processes(workers)
        self._images: dict[tuple[Path, int], list[Mark]] = defaultdict(list)
        self._videos: dict[Path, tuple[list[int], np.ndarray]] = {}

    def note(self, pictures: Pictures, rows: Sequence[Prediction]) -> None:
        """Remember what was predicted of some pictures."""
        if pictures.manifest.kind == "clips":
            self._videos |= dict(self._frames(pictures, rows))
            return
        manifest = pictures.manifest
        clips = self._predictor.samples(manifest)
        for number, row in zip(clips.indices.tolist(), rows, strict=True):
            if not row.error:
                place = Path(manifest.root) / manifest.rows.sources[number], int(manifest.rows.frames[number])
                self._images[place].append(Mark(self._predictor.classes, row.probabilities, row.box, row.face))

    def _frames(
        self, pictures: Pictures, rows: Sequence[Prediction]
    ) -> Iterator[tuple[Path, tuple[list[int], np.ndarray]]]:
        """Of each video the frames that were looked at, and the probabilities of each."""
        manifest = pictures.manifest
        clips, shares = self._predictor.samples(manifest), self._predictor.of_frames(pictures, self._temperature)
        for k, row in enumerate(rows):
            used = np.unique(clips.indices[clips.offsets[k] : clips.offsets[k + 1]])
            source = manifest.rows.sources[used[0]]
            if not row.error and is_video_name(source):
                of_rows = np.broadcast_to(row.probabilities, (len(used), len(row.probabilities)))
                found = of_rows if shares is None else shares[used]
                yield Path(manifest.root) / source, (manifest.rows.frames[used].tolist(), found)

    def draw(self, made: Path) -> None:
        """Draw all of it into a folder. A file that cannot be read any more has no picture."""
        folder = made / DRAWN
        folder.mkdir()
        self._draw_images(folder)
        names = distinct_names(short_name(file_safe(source.stem)) for source in self._videos)
        with Crew(annotate_video, min(self._workers, len(self._videos))) as crew:
            calls = []
            for name, (source, (frames, shares)) in zip(names, self._videos.items(), strict=True):
                figure = over_time(frames, shares, self._predictor.classes, source.name)
                figure.savefig(folder / f"{name}.png", dpi=150)
                marks = [Mark(self._predictor.classes, tuple(one)) for one in shares.tolist()]
                calls.append((source, folder / f"{name}.mp4", frames, marks))
            for (_, out, *_), answer in zip(calls, crew.map(calls), strict=True):
                if isinstance(answer, Died):
                    out.unlink(missing_ok=True)

    def _draw_images(self, folder: Path) -> None:
        names = distinct_names(short_name(file_safe(source.stem)) for source, _ in self._images)
        calls = [
            (source, frame, is_picture_clip(source.name), marks, folder / f"{name}.jpg")
            for name, ((source, frame), marks) in zip(names, self._images.items(), strict=True)
        ]
        with Crew(annotate_picture, min(self._workers, len(calls))) as crew:
            for (*_, out), answer in zip(calls, crew.map(calls), strict=True):
                if isinstance(answer, Died):
                    out.unlink(missing_ok=True)
