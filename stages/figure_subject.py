"""What a figure is of: one data set under one backbone, with all heads that are compared on it."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ..cache.store import FeatureStore
from ..heads.cosines import Head, projected_clips, unit
from ..heads.files import HeadCard, all_heads, find_head, load_head
from ..heads.linear import PlainClip
from ..manifests.manifest import Manifest
from ..reports.figures import COLOURS
from ..reports.scores import ALL, MEAN, Score
from ..reports.tables import UNTRAINED_NOTE, rows_by_head
from .evaluate import Evaluation
from .features import Choice, Features, complete_store, read_features
from .scoring import NO_HEAD, Scoring
from .workspace import Workspace

Figures = Iterator[tuple[str, Figure]]
"""Figures with their file names, without a suffix."""

MOST_ROWS = len(COLOURS)


@dataclass(frozen=True)
class Drawing:
    """Which figures are drawn, and with what."""

    kinds: Sequence[str] | None = None
    """By default all for which everything is given."""
    seed: int = 0
    """Of the choice of samples, and of t-SNE."""
    descriptions: Path | None = None
    """A CSV file `sample_id,text`: only retrieval needs it."""


@dataclass(frozen=True, eq=False)
class Subject:
    """One data set under one backbone."""

    workspace: Workspace
    dataset: str
    """As the user named it."""
    clip: str
    scoring: Scoring
    drawing: Drawing
    found: Evaluation

    @property
    def manifest(self) -> Manifest:
        return self.found.predictions[0].manifest

    @property
    def samples(self) -> np.ndarray:
        """(n,) numbers of the samples that have a label and features."""
        return self.found.predictions[0].samples

    @property
    def labels(self) -> np.ndarray:
        """(n,) class indices of the same."""
        return self.manifest.labels[self.samples]

    def title(self, what: str) -> str:
        """A figure's title, with a warning where untrained weights are behind what it shows."""
        of = self.found.scores[0].of
        untrained = any(score.of.untrained for scores in self.rows.values() for score in scores)
        warning = "\n" + UNTRAINED_NOTE.replace(": ", ":\n") if untrained else ""
        return f"{of.dataset} · {of.backbone} · {what}{warning}"

    @property
    def name(self) -> str:
        return self.found.scores[0].of.features_slug

    @cached_property
    def rows(self) -> dict[str, list[Score]]:
        """Heads that differ only in the seed, by the name of their row; at most four rows are drawn."""
        first = self.found.scores[0].of.prompts
        scores = [one for one in self.found.scores if one.of.prompts == first and one.fold in (ALL, MEAN)]
        return dict(list(rows_by_head(scores).items())[:MOST_ROWS])

    def by_prompts(self) -> Iterator[tuple[str, Evaluation]]:
        """The evaluation cut by prompt set, each with a name for files."""
        parts: dict[str, Evaluation] = defaultdict(lambda: Evaluation([], []))
        for score in self.found.scores:
            parts[score.of.setting_slug].scores.append(score)
        for predictions in self.found.predictions:
            parts[predictions.of.setting_slug].predictions.append(predictions)
        yield from parts.items()

    @cached_property
    def store(self) -> FeatureStore:
        """The image features that were scored."""
        workspace, frames = self.workspace, self.scoring.frames
        choice = Choice(self.dataset, "clip_image", self.clip, None, workspace.protocol, workspace.dtype, frames)
        return complete_store(workspace.cache, self.manifest, choice)

    @cached_property
    def _features(self) -> Features:
        return read_features(self.store, self.manifest)

    @cached_property
    def _heads(self) -> dict[str, tuple[Path, HeadCard]]:
        known = list(all_heads(self.workspace.cache.heads))
        named = [find_head(name, known) for name in self.scoring.heads or () if name != NO_HEAD]
        return {card.id: (folder, card) for folder, card in (*known, *named)}

    def head(self, score: Score) -> Head:
        """What is behind a score."""
        return load_head(*self._heads[score.of.head_id]) if score.of.head_id else PlainClip()

    def embeddings(self, head: Head, samples: np.ndarray) -> np.ndarray:
        """(n, L') float32 unit embeddings of samples: each frame projected, their mean, normalised."""
        clips = self.manifest.samples(self.scoring.frames)
        rows = [clips.indices[clips.offsets[one] : clips.offsets[one + 1]] for one in samples.tolist()]
        parts = projected_clips(head, self._features.array, rows)
        return np.concatenate([unit(part).astype(np.float32) for part in parts])
