"""What reads the texts of a command, and what is said of texts that it cannot read whole or tell apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import UsageError
from ..manifests.descriptions import Description
from ..manifests.prompts import PromptSet
from ..manifests.remarks import remark
from .texts import TextEncoder, Texts, Told
from .workspace import Workspace

_SHOWN = 60
"""How many letters of a text a message shows."""


@dataclass(frozen=True)
class Reader:
    """An encoder of texts, with what a command knows of it."""

    workspace: Workspace
    texts: Texts
    encoder: TextEncoder

    def embeddings(self, wanted: Mapping[str, Sequence[str]]) -> dict[str, np.ndarray]:
        """The embeddings (L,) of texts, by what they are for; what is missing is encoded."""
        return self.texts.embeddings(self.encoder, wanted)

    def width(self, prompt_sets: Sequence[PromptSet]) -> int:
        """How long the embeddings of prompts are or will be; nothing is encoded. Raises as `Texts.width` does."""
        return self.texts.width(self.encoder, _wanted(prompt_sets))

    def refuse_alike(self, prompt_sets: Sequence[PromptSet], classes: Sequence[str]) -> None:
        """Raise UsageError where two classes have the same embeddings, remark on prompts whose ends are not read."""
        told = self.texts.told(self.encoder, _wanted(prompt_sets))
        for prompts in prompt_sets:
            named = {name: prompts.prompts[name] for name in classes if name in prompts.prompts}
            self._remark_cut(prompts.name, told, {text: name for name, texts in named.items() for text in texts})
            for one, other, *_ in told.alike(named):
                raise UsageError(
                    f"the prompt set {prompts.name}: {one} and {other} have the same embedding by "
                    f"{self.encoder.model}, so that none is told from the other: {self._why(told, named[other])}"
                )

    def refuse_alike_descriptions(self, descriptions: Sequence[Description]) -> None:
        """Raise UsageError where what tells descriptions apart is not read, remark on those whose ends are not."""
        where = {one.text: one.where for one in descriptions}
        told = self.texts.told(self.encoder, {"descriptions": list(where)})
        self._remark_cut("descriptions", told, where)
        for alike in told.alike({text: [text] for text in where}):
            if not told.cut.isdisjoint(alike):
                one, other, *_ = alike
                raise UsageError(
                    f"{where[other]}: the description has the same embedding by {self.encoder.model} as that of "
                    f"{where[one]}: {self._why(told, [other, one])}"
                )

    def _why(self, told: Told, texts: Sequence[str]) -> str:
        if told.cut.isdisjoint(texts):
            return "give them prompts of different words"
        return f"they differ only behind the {self.encoder.context} tokens that it reads: say first what differs"

    def _remark_cut(self, title: str, told: Told, names: Mapping[str, str]) -> None:
        """Say which texts, each with what it is of, are not read whole."""
        shown = [
            f"{name}: {text[:_SHOWN]}{'…' * (len(text) > _SHOWN)}" for text, name in names.items() if text in told.cut
        ]
        behind = f"longer than the {self.encoder.context} tokens that {self.encoder.model} reads: the rest is cut"
        self.workspace.remark(title, *remark(shown, f"text is {behind}", f"texts are {behind}"))


def _wanted(prompt_sets: Sequence[PromptSet]) -> dict[str, Sequence[str]]:
    return {one.name: one.texts for one in prompt_sets}
