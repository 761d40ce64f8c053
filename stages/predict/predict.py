"""Labels and probabilities of pictures, by one head or by a model as it is."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ...cache.run_note import refuse_anothers
from ...commands.predict import FIT, Predict
from ...commands.unused import note_unused
from ...errors import UsageError, option
from ...manifests.disk import is_video_name
from ...manifests.manifest import NO_LABEL
from ...manifests.prompts import prompt_set
from ...manifests.videos import pyav
from ...pipeline.checks import refuse_folder, refuse_unknown_datasets, refuse_unknown_models
from ...pipeline.workspace import Workspace
from ...reports.predicted import PREDICTION, Predicted, Prediction, table_of, write_predicted
from ...scoring.probabilities import fitted_temperature
from .drawn import Drawing
from .faces import Faces, find_faces
from .gathered import Gathered, Pictures, is_picture_file, videos_beside_images
from .predictor import Predictor, classes_of


def predict(request: Predict) -> Predicted:
    """Label what is asked for; write a table, and pictures, where a folder is given.

    Raises UsageError before anything is made where pictures cannot be found or no head is meant.
    """
    refuse_folder(request.out)
    refuse_anothers(request.out, PREDICTION, table_of(request.format))
    refuse_unknown_models(request, "clip")
    prompts = prompt_set(request.prompts, request.protocol)
    if not request.crop:
        note_unused(request, ("detector", "margin"), f"only with {option('crop')} faces are looked for")
    faces = find_faces(request) if request.crop else None
    paths = list(faces.lists if faces else dict.fromkeys([*request.paths, *videos_beside_images(request.paths)]))
    fitted_on = "" if request.given_temperature() else request.temperature.removeprefix(FIT)
    datasets = [path for path in paths if not is_picture_file(path)]
    every = list(dict.fromkeys([*datasets, fitted_on])) if fitted_on else datasets
    workspace = Workspace.of(request, every)
    refuse_unknown_datasets(workspace, request, every)
    gathered = Gathered(request, workspace, paths, fitted_on)
    if request.draw and any(one.manifest.kind == "clips" for one in gathered.asked):
        pyav()  # what is drawn of clips is a video: better to fail here than at the end
    predictor = Predictor(request, workspace, prompts, classes_of(workspace, gathered.asked, prompts), gathered)
    temperature = request.given_temperature() or _fitted(predictor, gathered.labelled())
    drawing = Drawing(predictor, temperature, request.workers, faces) if request.draw else None
    rows: list[Prediction] = []
    for pictures in gathered.pictures():
        some = list(_rows(predictor, pictures, predictor.probabilities(pictures, temperature)))
        rows += some
        if drawing:
            drawing.note(pictures, some)
    rows = list(_of_faces(faces, rows)) if faces else rows
    answer = Predicted(predictor.recipe(temperature, fitted_on), predictor.classes, tuple(rows))
    if request.out is None:
        return answer
    draw = drawing.draw if drawing else None
    return write_predicted(answer, request.out, request.format, request.command(), draw)


def _of_faces(faces: Faces, rows: Sequence[Prediction]) -> Iterator[Prediction]:
    """The rows of crops as those of the faces, in the order of the pictures, with a row where there is no face."""
    places = [place for some in faces.lists.values() for place in some]
    known = dict(zip(places, rows, strict=True))
    for place, found in enumerate(faces.found):
        path, crop = os.path.relpath(found.source), found.crops[0]
        if place not in known:
            yield Prediction(path, error=found.error)
        elif is_video_name(found.source.name):
            yield replace(known[place], path=path)
        else:
            assert crop.face is not None
            yield replace(known[place], path=path, frame=None, face=crop.number, box=crop.face.corners)


def _fitted(predictor: Predictor, labelled: Pictures) -> float:
    """The temperature under which the labels of a data set are likeliest. Raises UsageError where it has none."""
    manifest = predictor.seen(labelled.manifest)
    clips = predictor.samples(manifest)
    numbers = labelled.readable(clips)
    numbers = numbers[manifest.labels[numbers] != NO_LABEL]
    if not len(numbers):
        raise UsageError(
            f"{option('temperature')} fit:{manifest.label}: it has no sample with a label of "
            f"{', '.join(predictor.classes)}: choose another data set, or a number"
        )
    return fitted_temperature(predictor.logits(labelled, clips.take(numbers)), manifest.labels[numbers])


def _rows(predictor: Predictor, pictures: Pictures, shares: np.ndarray) -> Iterator[Prediction]:
    """A row per image or clip, in their order."""
    manifest = pictures.manifest
    clips = predictor.samples(manifest)
    for k, sample in enumerate(manifest.sample_ids):
        rows = clips.indices[clips.offsets[k] : clips.offsets[k + 1]]
        path, frame = pictures.place(rows, sample)
        error = pictures.error(rows.tolist())
        if error:
            yield Prediction(path, frame, error=error)
        else:
            label = predictor.classes[int(shares[k].argmax())]
            yield Prediction(path, frame, label=label, probabilities=tuple(shares[k].tolist()))
