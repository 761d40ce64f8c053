"""How fast is the linear head fitted, against a plain loop on the same tensors and against bare matrix products?

    python benchmarks/fit_head.py [--rows 49152] [--repeats 3]

Runs the three in turn, several times, and prints ratios; absolute times depend on the machine.
"""

import argparse
import time

import numpy as np
import torch
from expclip import LinearHead

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
    """Only the matrix products of the fit: 4·B·L·L' + 4·B²·L' FLOP a step."""
    x, w = torch.randn(BATCH, WIDTH).to(dtype), torch.randn(TEACHER_WIDTH, WIDTH).to(dtype)
    e, s = torch.randn(BATCH, TEACHER_WIDTH).to(dtype), torch.randn(BATCH, BATCH).to(dtype)
    for _ in range(epochs * (rows // BATCH)):
        z = x @ w.T
        _ = z @ e.T
        slope = s @ e
        _ = slope.T @ x


def seconds(run) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=49152)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
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
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.repeats):
        for name, run in runs.items():
            times[name].append(seconds(run))
    best = {name: min(values) for name, values in times.items()}
    flop = 4 * BATCH * TEACHER_WIDTH * (WIDTH + BATCH) * options.epochs * (options.rows // BATCH)
    for name, value in best.items():
        rate, ratio = flop / value / 1e9, value / best["plain loop"]
        print(f"{name:20s} {value:7.2f} s  {rate:7.0f} GFLOP/s  {ratio:.2f} x plain loop")
    for precision in ("float32", "bfloat16"):
        print(f"{precision}: {best[f'products, {precision}'] / best[precision]:.0%} of the rate of bare products")


if __name__ == "__main__":
    main()
