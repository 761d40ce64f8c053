"""How fast do network heads project embeddings, against the matrix products of their layers alone?

Runs them in turn, several times, and prints ratios. What a transformer does beside products counts, MLPs do little.
"""

from collections.abc import Iterator
from unittest.mock import patch

import numpy as np
import torch
from expclip.encoders.products import linear, product
from expclip.heads import mlp, transformer
from expclip.heads.network import Network, NetworkHead
from expclip.manifests.manifest import Clips
from expclip.scoring.samples import Samples
from measure import Row, in_turn, parser, show

WIDTH, TEACHER_WIDTH = 768, 4096
HEADS = {"mlp2": mlp.mlp(2), "mlp3": mlp.mlp(3), "transformer": transformer.TRANSFORMER}


def main() -> None:
    options = parser(__doc__, rows=8192, repeats=5).parse_args()
    for name, network in HEADS.items():
        print(name)
        show(measure(network, options.rows, options.repeats), options.rows, "embeddings/s")


def rows(count: int = 8192, repeats: int = 5) -> Iterator[Row]:
    for name, frames in (("mlp2", 1), ("mlp3", 1), ("mlp3", 16)):
        took = measure(HEADS[name], count, repeats, frames)
        rate, ratio = f"{count / took['head']:,.0f} embeddings/s", took["products"] / took["head"]
        of = "images" if frames == 1 else f"clips of {frames}"
        yield Row(f"{name} head, 768 → 4,096, {of}", rate, "its bare products", ratio, 0.85, is_least=True)


def measure(network: Network, count: int, repeats: int, frames: int = 1) -> dict[str, float]:
    """Seconds of projecting the embeddings of images, or of clips of some frames, and of the products for it."""
    X = np.random.default_rng(0).standard_normal((count, WIDTH), dtype=np.float32)
    clips = Clips(np.arange(0, count + 1, frames), np.arange(count))
    samples = Samples(X, clips if frames > 1 else None)
    head = NetworkHead(network)
    head.weights_ = network.initial(WIDTH, TEACHER_WIDTH, torch.Generator().manual_seed(0))
    factors: list[tuple[torch.Tensor, torch.Tensor]] = []

    def noting(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        factors.append((torch.ones(x.numel() // x.shape[-1], x.shape[-1]), weight))
        return linear(x, weight, bias)

    with patch.object(mlp, "linear", noting), patch.object(transformer, "linear", noting):
        head.transform(X)

    def products() -> None:
        for a, weight in factors:
            product(a, weight.T)

    def project() -> None:
        for _ in head.pooled(samples):
            pass

    with torch.inference_mode():
        return in_turn({"head": project, "products": products}, repeats)


if __name__ == "__main__":
    main()
