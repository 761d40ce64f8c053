"""A CLIP's image tower with one more token, which says where the persons are."""

from typing import Any

import torch


def see(visual: Any, planes: torch.Tensor, share: float) -> torch.Tensor:
    """(n, L) of normalised pixels (n, 3, size, size), of each of whose patches the same share is a person.

    The token is the sum over patches of that share times the patch's position, and has no position of its own.
    """
    patches = visual.conv1(planes).flatten(2).transpose(1, 2)
    n, dtype, positions = len(patches), patches.dtype, visual.positional_embedding
    first = visual.class_embedding.to(dtype).expand(n, 1, -1)
    x = torch.cat([first, patches], dim=1) + positions.to(dtype)
    persons = (share * positions[1:].sum(dim=0)).to(dtype).expand(n, 1, -1)
    x = visual.transformer(visual.ln_pre(torch.cat([x, persons], dim=1)))
    return visual.ln_post(x[:, 0]) @ visual.proj
