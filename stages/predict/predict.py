"""Labels and probabilities of pictures, by one head or by a model as it is."""

from collections.abc import Iterator

import numpy as np

from ...cache.run_note import refuse_anothers
from ...commands.predict import FIT, Predict, Predicted, Prediction
from ...errors import UsageError, option
from ...manifests.manifest import NO_LABEL
from ...manifests.prompts import prompt_set
from ...pipeline.checks import refuse_folder, refuse_unknown_datasets, refuse_unknown_models
from ...pipeline.workspace import Workspace
from ...reports.predicted import PREDICTION, table_of, write_predicted
from ...scoring.probabilities import fitted_temperature
from .drawn import Drawing
from .pictures import Gathered, Pictures, is_picture_file
from .predictor import Predictor, classes_of


def predict(request: Predict) -> Predicted:
    """Label what is asked for; write a table, and pictures, where a folder is given.

    Raises UsageError before anything is made where pictures cannot be found or no head is meant.
    """
    refuse_folder(request.out)
    refuse_anothers(request.out, PREDICTION, table_of(request.format))
    refuse_unknown_models(request, "clip")
    paths = list(dict.fromkeys(request.paths))
    fitted_on = "" if request.given_temperature() else request.temperature.removeprefix(FIT)
    datasets = [path for path in paths if not is_picture_file(path)]
    every = list(dict.fromkeys([*datasets, fitted_on])) if fitted_on else datasets
    workspace = Workspace.of(request, every)
    refuse_unknown_datasets(workspace, request, every)
    gathered = Gathered(request, workspace, paths, fitted_on)
    prompts = prompt_set(request.prompts, request.protocol)
    predictor = Predictor(request, workspace, prompts, classes_of(workspace, gathered.asked, prompts), gathered)
    temperature = request.given_temperature() or _fitted(predictor, gathered.labelled())
    drawing = Drawing(predictor, temperature, request.workers) if request.draw else None
    rows: list[Prediction] = []
    for pictures in gathered.pictures():
        some = list(_rows(predictor, pictures, predictor.probabilities(pictures, temperature)))
        rows += some
        if drawing:
            drawing.note(pictures, some)
    answer = Predicted(predictor.recipe(temperature, fitted_on), predictor.classes, tuple(rows))
    if request.out is None:
        return answer
    draw = drawing.draw if drawing else None
    return write_predicted(answer, request.out, request.format, request.command(), draw)


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
