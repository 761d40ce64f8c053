"""How fast is the linear head fitted, against a plain loop on the same tensors and against bare matrix products?

Runs them in turn, several times, and prints ratios.
"""

import numpy as np
import torch
from expclip import LinearHead
from measure import in_turn, parser, show

WIDTH, TEACHER_WIDTH, BATCH = 768, 4096, 512


def plain_loop(X: np.ndarray, E: np.ndarray, epochs: int) -> None:
    """What one writes first: nn.Linear, autograd, torch.optim.SGD."""
    images, teacher = torch.from_numpy(X).float(), torch.from_numpy(E)
    head = torch.nn.Linear(WIDTH, TEACHER_WIDTH, bias=False)
    optimiser = torch.optim.SGD(head.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)
    targets = torch.arange(BATCH)
    for _ in range(epochs):
        order = torch.randperm(len(X))
        for step in range(len(X) // BATCH):
            batch = order[step * BATCH : (step + 1) * BATCH]
            a = torch.nn.functional.normalize(head(images[batch]), dim=1)
            b = torch.nn.functional.normalize(teacher[batch].float(), dim=1)
            logits = 100 * a @ b.T
            cross = torch.nn.functional.cross_entropy
            loss = (cross(logits, targets) + cross(logits.T, targets)) / 2
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()


def products(rows: int, epochs: int, dtype: torch.dtype) -> None:
    """Only the matrix products of the fit: 4·B·L·L' + 4·B²·L' FLOP per step."""
    x, w = torch.randn(BATCH, WIDTH).to(dtype), torch.randn(TEACHER_WIDTH, WIDTH).to(dtype)
    e, s = torch.randn(BATCH, TEACHER_WIDTH).to(dtype), torch.randn(BATCH, BATCH).to(dtype)
    for _ in range(epochs * (rows // BATCH)):
        z = x @ w.T
        _ = z @ e.T
        slope = s @ e
        _ = slope.T @ x


def main() -> None:
    options = parser(__doc__, rows=49152, epochs=1, repeats=3).parse_args()
    rng = np.random.default_rng(0)
    X = rng.standard_normal((options.rows, WIDTH), dtype=np.float32).astype(np.float16)
    E = rng.standard_normal((options.rows, TEACHER_WIDTH), dtype=np.float32).astype(np.float16)
    runs = {
        "plain loop": lambda: plain_loop(X, E, options.epochs),
        "float32": lambda: LinearHead(epochs=options.epochs).fit(X, E),
        "bfloat16": lambda: LinearHead(epochs=options.epochs, precision="bfloat16").fit(X, E),
        "products, float32": lambda: products(options.rows, options.epochs, torch.float32),
        "products, bfloat16": lambda: products(options.rows, options.epochs, torch.bfloat16),
    }
    took = in_turn(runs, options.repeats)
    flop = 4 * BATCH * TEACHER_WIDTH * (WIDTH + BATCH) * options.epochs * (options.rows // BATCH)
    show(took, flop / 1e9, "GFLOP/s")
    for precision in ("float32", "bfloat16"):
        print(f"{precision}: {took[f'products, {precision}'] / took[precision]:.0%} of the rate of bare products")


if __name__ == "__main__":
    main()
