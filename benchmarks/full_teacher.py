"""How much memory and time the full-size teacher takes on a CPU: `python benchmarks/full_teacher.py FOLDER`.

Writes once, to FOLDER, a checkpoint of the size and format of Salesforce/blip2-flan-t5-xxl in bfloat16, about 13 GB.
Its weights are random: it is untrained and only good for measuring. Of the T5 decoder it has two of 24 blocks and the
output layer, which must stay unread. Then a fresh process loads it as `expclip extract` does and encodes two images.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from expclip.pipeline.machine import peak_memory
from measure import timed

INSTRUCTION = "related-1"
SHARD_BYTES = 1_000_000_000
INDEX = "model.safetensors.index.json"
CONFIG = Path(__file__).with_name("blip2-flan-t5-xxl.json")


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("folder", type=Path)
    options.add_argument("--dtype", default="bfloat16", help="as of `expclip extract`; `auto` is its default")
    options.add_argument("--encode", action="store_true", help="only measure, in this process")
    asked = options.parse_args()
    if asked.encode:
        encode(asked.folder, asked.dtype)
        return
    if not (asked.folder / INDEX).is_file():
        write(asked.folder)
    size = sum(path.stat().st_size for path in asked.folder.iterdir())
    print(f"on disk            {size / 1e9:6.2f} GB (untrained, with 2 of 24 decoder blocks)", flush=True)
    subprocess.run([sys.executable, __file__, str(asked.folder), "--dtype", asked.dtype, "--encode"], check=True)


def write(folder: Path) -> None:
    """Write the checkpoint shard by shard; its index comes last, so that half a checkpoint is never measured."""
    import torch
    from expclip.manifests.prompts import instruction
    from expclip.training.tokenizer import make_tokenizer
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(CONFIG, folder / "config.json")
    make_tokenizer([instruction(INSTRUCTION).text], 1000).save(str(folder / "tokenizer.json"))
    generator = torch.Generator().manual_seed(0)
    weight_map: dict[str, str] = {}
    for number, shard in enumerate(shards(), 1):
        name = f"model-{number:05d}.safetensors"
        tensors = {tensor: random_tensor(tensor, shape, generator) for tensor, shape in shard}
        save_file(tensors, folder / name, {"format": "pt"})
        weight_map |= dict.fromkeys(tensors, name)
    (folder / INDEX).write_text(json.dumps({"weight_map": weight_map}, indent=1), encoding="utf-8")


def shards() -> Iterator[list[tuple[str, tuple[int, ...]]]]:
    """Names and shapes of the full model's tensors, in its order, cut at SHARD_BYTES."""
    import torch
    from transformers import Blip2Config, Blip2ForConditionalGeneration

    with torch.device("meta"):
        model = Blip2ForConditionalGeneration(Blip2Config(**json.loads(CONFIG.read_text(encoding="utf-8"))))
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    shapes["language_model.lm_head.weight"] = shapes["language_model.shared.weight"]
    shard: list[tuple[str, tuple[int, ...]]] = []
    free = SHARD_BYTES
    for name, shape in shapes.items():
        size = 2 * torch.Size(shape).numel()
        if size > free and shard:
            yield shard
            shard, free = [], SHARD_BYTES
        shard.append((name, shape))
        free -= size
    yield shard


def random_tensor(name: str, shape: tuple[int, ...], generator):
    """Normal noise of the spread of a trained model; norms and biases leave what they are given as it is."""
    import torch

    tensor = torch.empty(shape, dtype=torch.bfloat16)
    if re.search(r"norm[12]?\.weight$", name, re.IGNORECASE):
        return tensor.fill_(1)
    return tensor.zero_() if name.endswith(".bias") else tensor.normal_(std=0.02, generator=generator)


def encode(folder: Path, dtype: str) -> None:
    """Load both parts through expclip and encode two images, printing time and memory of each step."""
    import numpy as np
    from expclip.encoders.families import Models

    models = Models(asked_device="cpu")
    node = partial(models.node, model=str(folder), dtype=None if dtype == "auto" else dtype)
    query_tokens, llm = step(
        "hash the weights", lambda: [node("query_tokens"), node("llm", instruction_name=INSTRUCTION)]
    )
    # bfloat16 tensors are views of the files: most pages are read at first use
    image_side = step("load image side", lambda: query_tokens.load("cpu"))
    text_side = step("load text side", lambda: llm.load("cpu"))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    e_q = step("e_Q of 2 images", lambda: image_side(pixels).astype(np.float16))
    step("e_G of 2 images", lambda: text_side(e_q))
    e_g = step("e_G once more", lambda: text_side(e_q))
    apart = np.linalg.norm(e_g[0] - e_g[1]) / np.linalg.norm(e_g[0])
    print(f"e_G {e_g.shape}, finite: {bool(np.isfinite(e_g).all())}, the two images differ by {apart:.1%}")


def step(what: str, run: Callable[[], Any]) -> Any:
    """Run it; print its seconds and the highest resident memory so far, mapped file pages included."""
    seconds, result = timed(run)
    print(f"{what:18} {seconds:6.1f} s   peak {peak_memory() / 1e9:6.2f} GB", flush=True)
    return result


if __name__ == "__main__":
    main()
