"""How fast is the linear head fitted, against a plain loop on the same tensors and against bare matrix products?

Runs them in turn, several times, and prints ratios.
"""

from collections.abc import Iterator

import numpy as np
import torch
from expclip import LinearHead
from expclip.encoders.products import product
from measure import Row, in_turn, parser, show

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
    """Only the matrix products of the fit, by the same library: 4·B·L·L' + 4·B²·L' FLOP per step."""
    x, w = torch.randn(BATCH, WIDTH).to(dtype), torch.randn(WIDTH, TEACHER_WIDTH).to(dtype)
    e, s = torch.randn(BATCH, TEACHER_WIDTH).to(dtype), torch.randn(BATCH, BATCH).to(dtype)
    for _ in range(epochs * (rows // BATCH)):
        z = product(x, w)
        product(z, e.T)
        slope = product(s, e)
        product(x.T, slope)


def main() -> None:
    options = parser(__doc__, rows=49152, epochs=1, repeats=3).parse_args()
    took = measure(options.rows, options.epochs, options.repeats, ("float32", "bfloat16"))
    show(took, flop(options.rows, options.epochs) / 1e9, "GFLOP/s")
    for precision in ("float32", "bfloat16"):
        print(f"{precision}: {took[f'products, {precision}'] / took[precision]:.0%} of the rate of bare products")


def rows(count: int = 12288, repeats: int = 3) -> Iterator[Row]:
    epochs = 5  # as it is fitted usually: what is done once counts as little as there
    took = measure(count, epochs, repeats, ("float32",))
    rate = f"{flop(count, epochs) / took['float32'] / 1e9:.0f} GFLOP/s"
    ratio = took["products, float32"] / took["float32"]
    yield Row("fit-head, linear, 768 → 4,096", rate, "its bare products", ratio, 0.9, is_least=True)


def flop(count: int, epochs: int) -> float:
    return 4 * BATCH * TEACHER_WIDTH * (WIDTH + BATCH) * epochs * (count // BATCH)


def measure(count: int, epochs: int, repeats: int, precisions: tuple[str, ...]) -> dict[str, float]:
    """Seconds of a plain loop, of the fit in each precision, and of its bare products."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((count, WIDTH), dtype=np.float32).astype(np.float16)
    E = rng.standard_normal((count, TEACHER_WIDTH), dtype=np.float32).astype(np.float16)
    runs = {"plain loop": lambda: plain_loop(X, E, epochs)}
    for precision in precisions:
        dtype = getattr(torch, precision)
        runs[precision] = lambda precision=precision: LinearHead(epochs=epochs, precision=precision).fit(X, E)
        runs[f"products, {precision}"] = lambda dtype=dtype: products(count, epochs, dtype)
    return in_turn(runs, repeats)


if __name__ == "__main__":
    main()
