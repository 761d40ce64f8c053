"""The encoder side of a BLIP-2 with a T5, as modules without storage."""

import torch
from torch import nn
from transformers import (
    Blip2QFormerConfig,
    Blip2QFormerModel,
    Blip2VisionConfig,
    Blip2VisionModel,
    T5Config,
    T5EncoderModel,
)

from .teacher import Teacher, usable


class ImageParts(nn.Module):
    """Vision tower, queries and Q-Former, named as in the checkpoint and without storage.

    `products` is the dtype of the vision tower's matrix products; everything else is float32.
    """

    def __init__(self, teacher: Teacher, products: torch.dtype = torch.float32):
        super().__init__()
        with torch.device("meta"), usable(teacher.checkpoint.place, "the model"):
            self.vision_model = Blip2VisionModel(Blip2VisionConfig(**teacher.vision))
            self.query_tokens = nn.Parameter(torch.empty(1, teacher.query_tokens, teacher.qformer["hidden_size"]))
            self.qformer = Blip2QFormerModel(Blip2QFormerConfig(**teacher.qformer))
        self.to(torch.float32)
        for part in self.vision_model.modules():
            # not the patch convolution: the tower runs its residual stream in the dtype of that layer
            if isinstance(part, nn.Linear):
                part.to(products)


class TextParts(nn.Module):
    """Language projection in float32 and T5 encoder in `t5`, named as in the checkpoint and without storage."""

    def __init__(self, teacher: Teacher, t5: torch.dtype = torch.float32):
        super().__init__()
        with torch.device("meta"), usable(teacher.checkpoint.place, "the model"):
            self.language_projection = nn.Linear(
                teacher.qformer["hidden_size"], teacher.text["d_model"], dtype=torch.float32
            )
            self.language_model = T5EncoderModel(T5Config(**teacher.text)).to(t5)  # pyright: ignore[reportArgumentType]
