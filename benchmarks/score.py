"""What does one more linear head cost on all eight test sets and five prompt sets?

    python benchmarks/score.py [--width 768] [--repeats 3]

Scores random embeddings of as many samples as the eight test sets have, with expclip's head and by projecting every
embedding to the teacher's width; prints the ratio and whether the predictions agree.
"""

import argparse
import time

import numpy as np
from expclip import LinearHead

SAMPLES = (3068, 3499, 3999, 3137, 11697, 7847, 9172, 381)
PROMPTS = 7 * (1 + 1 + 1 + 5 + 10)
TEACHER_WIDTH = 4096


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    sets = [rng.standard_normal((count, options.width)) for count in SAMPLES]
    texts = rng.standard_normal((PROMPTS, options.width))
    weight = rng.standard_normal((TEACHER_WIDTH, options.width)).astype(np.float32)
    mine, projected = [], []
    for _ in range(options.repeats):
        started = time.perf_counter()
        head = LinearHead.from_weight(weight)
        first = [head.similarity(images, texts).argmax(axis=1) for images in sets]
        mine.append(time.perf_counter() - started)
        started = time.perf_counter()
        text = texts.astype(np.float32) @ weight.T
        text /= np.linalg.norm(text, axis=1, keepdims=True)
        second = []
        for images in sets:
            image = images.astype(np.float32) @ weight.T
            image /= np.linalg.norm(image, axis=1, keepdims=True)
            second.append((image @ text.T).argmax(axis=1))
        projected.append(time.perf_counter() - started)
    agree = np.mean(np.concatenate(first) == np.concatenate(second))
    print(f"one more head  {min(mine):6.2f} s")
    print(f"projecting all {min(projected):6.2f} s")
    print(f"ratio          {min(mine) / min(projected):6.2f}   same predictions: {agree:.4%}")


if __name__ == "__main__":
    main()
