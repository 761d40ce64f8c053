"""Pictures of what was predicted: images with bars, and of videos a video and a curve over time."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ...commands.crop import Crop
from ...manifests.animations import is_picture_clip
from ...manifests.disk import distinct_names, file_safe, is_video_name, short_name
from ...pipeline.apart import Call, Crew, Died, processes
from ...reports.annotated import Box, Mark, annotate_frames, annotate_picture, annotate_video
from ...reports.over_time import over_time
from ...reports.predicted import DRAWN, Prediction
from .faces import Faces, Found
from .gathered import Pictures
from .predictor import Predictor


@dataclass(frozen=True)
class Film:
    """A clip that is to be drawn."""

    source: Path
    """The video, or the folder of the frames."""
    files: list[Path]
    """The frames, where they are files."""
    frames: list[int]
    """The numbers of those that were looked at."""
    marks: list[Mark]
    """What was predicted of each."""

    @property
    def is_video(self) -> bool:
        return is_video_name(self.source.name)


class Drawing:
    """What is to be drawn, gathered while it is predicted."""

    def __init__(self, predictor: Predictor, temperature: float, workers: int | None, faces: Faces | None):
        self._predictor, self._temperature = predictor, temperature
        self._workers = processes(workers)
        self._faces = faces
        self._images: dict[tuple[Path, int], list[Mark]] = defaultdict(list)
        self._films: list[Film] = []

    def note(self, pictures: Pictures, rows: Sequence[Prediction]) -> None:
        """Remember what was predicted of some pictures, or crops of them."""
        note = self._note_clip if pictures.manifest.kind == "clips" else self._note_image
        clips = self._predictor.samples(pictures.manifest)
        shares = self._predictor.of_frames(pictures, self._temperature) if pictures.manifest.kind == "clips" else None
        places = self._faces.lists[pictures.need.dataset] if self._faces else ()
        for k, row in enumerate(rows):
            used = np.unique(clips.indices[clips.offsets[k] : clips.offsets[k + 1]])
            if not row.error:
                note(pictures, row, used, shares, self._faces.found[places[k]] if self._faces else None)

    def _note_image(
        self, pictures: Pictures, row: Prediction, used: np.ndarray, shares: np.ndarray | None, face: Found | None
    ) -> None:
        rows = pictures.manifest.rows
        source = Path(pictures.manifest.root) / rows.sources[used[0]], int(rows.frames[used[0]])
        mark = Mark(self._predictor.classes, row.probabilities)
        if face is None:
            self._images[source].append(mark)
        else:
            (crop,) = face.crops
            self._images[face.source, 0].append(replace(mark, box=_box(crop), number=crop.number))

    def _note_clip(
        self, pictures: Pictures, row: Prediction, used: np.ndarray, shares: np.ndarray | None, face: Found | None
    ) -> None:
        manifest = pictures.manifest
        files = [Path(manifest.root) / manifest.rows.sources[k] for k in used.tolist()]
        if face is None and is_picture_clip(manifest.rows.sources[used[0]]):
            return  # one file of several pictures, which is no video
        source = files[0] if face is None else face.source
        source = source if is_video_name(source.name) else source.parent
        found = [row.probabilities] * len(used) if shares is None else [tuple(one) for one in shares[used].tolist()]
        marks = [Mark(self._predictor.classes, one) for one in found]
        frames = manifest.rows.frames[used].tolist()
        if face is not None:
            by_name = {crop.cut: crop for crop in face.crops}
            crops = [by_name[manifest.rows.sources[k]] for k in used.tolist()]
            frames = [crop.frame or 0 for crop in crops]
            marks = [replace(mark, box=_box(crop)) for mark, crop in zip(marks, crops, strict=True)]
        self._films.append(Film(source, files, frames, marks))

    def draw(self, made: Path) -> None:
        """Draw all of it into a folder. A file that cannot be read any more has no picture."""
        folder = made / DRAWN
        folder.mkdir()
        self._draw_images(folder)
        names = distinct_names(short_name(file_safe(film.source.stem)) for film in self._films)
        films = list(zip(names, self._films, strict=True))
        for name, film in films:
            shares = np.array([mark.shares for mark in film.marks])
            figure = over_time(film.frames, shares, self._predictor.classes, film.source.name)
            figure.savefig(folder / f"{name}.png", dpi=150)
        self._run(
            annotate_video,
            [(one.source, one.frames, one.marks, folder / f"{name}.mp4") for name, one in films if one.is_video],
        )
        self._run(
            annotate_frames,
            [(one.files, one.marks, folder / f"{name}.mp4") for name, one in films if not one.is_video],
        )

    def _draw_images(self, folder: Path) -> None:
        names = distinct_names(short_name(file_safe(source.stem)) for source, _ in self._images)
        calls = [
            (source, frame, is_picture_clip(source.name), marks, folder / f"{name}.jpg")
            for name, ((source, frame), marks) in zip(names, self._images.items(), strict=True)
        ]
        self._run(annotate_picture, calls)

    def _run(self, annotate: Callable[..., bool], calls: Sequence[Call]) -> None:
        """Draw in processes of their own, each call to its last argument; what ends its process has no picture."""
        with Crew(annotate, min(self._workers, len(calls))) as crew:
            for (*_, out), answer in zip(calls, crew.map(calls), strict=True):
                if isinstance(answer, Died):
                    out.unlink(missing_ok=True)


def _box(crop: Crop) -> Box:
    assert crop.face is not None
    return crop.face.corners
