"""Features for tests of heads."""

import numpy as np


def made_up_features(rows: int = 700, width: int = 24, teacher_width: int = 40, seed: int = 0):
    """Correlated image and teacher embeddings in the cache's number format."""
    rng = np.random.default_rng(seed)
    causes = rng.standard_normal((rows, 12))
    X = causes @ rng.standard_normal((12, width)) + 0.3 * rng.standard_normal((rows, width))
    E = causes @ rng.standard_normal((12, teacher_width)) + 0.3 * rng.standard_normal((rows, teacher_width))
    return X.astype(np.float16), E.astype(np.float16)
