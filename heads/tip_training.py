"""Training the keys of Tip-Adapter-F: the only part of it that needs torch."""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import cross_entropy, one_hot

from .kinds import LabelledSamples, Progress
from .recipe import LOGIT_SCALE, Recipe
from .tip import FIRST_ALPHA, FIRST_BETA, TRAINING, directions_of
from .validated import class_weights, quality


@dataclass(frozen=True, eq=False)
class _Part:
    """Some samples on the recipe's device."""

    f: torch.Tensor
    """(n, L) unit vectors."""
    text: torch.Tensor
    """(n, classes) their cosines with prompts."""
    labels: torch.Tensor

    @classmethod
    def of(cls, content: LabelledSamples, device: str) -> "_Part":
        f, text = (torch.from_numpy(one).float().to(device) for one in directions_of(content))
        return cls(f, text, torch.from_numpy(content.labels).to(device))

    def take(self, rows: torch.Tensor) -> "_Part":
        return _Part(self.f[rows], self.text[rows], self.labels[rows])

    def scores(self, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """(n, classes) by keys and their one-hot values, before α and β are searched."""
        return LOGIT_SCALE * self.text + FIRST_ALPHA * (torch.exp(-FIRST_BETA * (1 - self.f @ keys.T)) @ values)


def trained_keys(
    content: LabelledSamples, recipe: Recipe, progress: Progress | None
) -> tuple[np.ndarray, list[float]]:
    """The keys (n, L) after the epoch that is best on what was held out, and the mean loss of each epoch.

    They begin as the samples themselves and are no unit vectors afterwards, as in the authors' code; theirs picks the
    epoch on the test set, this one never does. One CPU generator draws a permutation an epoch.
    """
    assert content.validation is not None
    learnt, held_out = (_Part.of(one, recipe.device) for one in (content, content.validation))
    values, judge = one_hot(learnt.labels, len(content.classes)).float(), quality(content.validation)
    keys, epochs, size = learnt.f.clone().requires_grad_(), TRAINING["epochs"], TRAINING["batch_size"]
    optimiser = torch.optim.AdamW([keys], TRAINING["lr"], eps=TRAINING["eps"], weight_decay=TRAINING["weight_decay"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * -(-len(learnt.f) // size))
    generator, weight = torch.Generator().manual_seed(recipe.seed), class_weights(content).to(recipe.device)
    best, kept, losses = -1.0, keys.detach(), []
    for epoch in range(1, epochs + 1):
        total = 0.0
        for rows in torch.randperm(len(learnt.f), generator=generator).to(recipe.device).split(size):
            some = learnt.take(rows)
            loss = cross_entropy(some.scores(keys, values), some.labels, weight)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) * len(rows)
        losses.append(total / len(learnt.f))
        found = judge(held_out.scores(keys.detach(), values).argmax(dim=1).cpu().numpy())
        if found > best:
            best, kept = found, keys.detach().clone()
        if progress:
            progress(epoch, epochs)
    return kept.cpu().numpy(), losses
