"""How much memory and time the full-size teacher takes on a CPU: `python benchmarks/teacher.py FOLDER`.

Writes once, to FOLDER, a checkpoint of the size and format of Salesforce/blip2-flan-t5-xxl in bfloat16, about 13 GB.
Its weights are random: it is untrained and only good for measuring. Of the T5 decoder it has two of 24 blocks and the
output layer, which must stay unread. Then a fresh process loads it as `expclip extract` does and encodes two images.
"""

import argparse
import json
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

INSTRUCTION = "related-1"
SHARD_BYTES = 1_000_000_000
INDEX = "model.safetensors.index.json"
CONFIG = {
    "model_type": "blip-2",
    "architectures": ["Blip2ForConditionalGeneration"],
    "num_query_tokens": 32,
    "vision_config": {
        "hidden_size": 1408,
        "num_hidden_layers": 39,
        "num_attention_heads": 16,
        "intermediate_size": 6144,
        "image_size": 224,
        "patch_size": 14,
        "layer_norm_eps": 1e-5,
    },
    "qformer_config": {
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "cross_attention_frequency": 2,
        "encoder_hidden_size": 1408,
    },
    "text_config": {
        "model_type": "t5",
        "vocab_size": 32128,
        "d_model": 4096,
        "d_kv": 64,
        "d_ff": 10240,
        "num_layers": 24,
        "num_decoder_layers": 2,
        "num_heads": 64,
        "feed_forward_proj": "gated-gelu",
        "dense_act_fn": "gelu",
        "is_gated_act": True,
    },
}


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
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=1), encoding="utf-8")
    tokenizer(instruction(INSTRUCTION).text).save(str(folder / "tokenizer.json"))
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
        model = Blip2ForConditionalGeneration(Blip2Config(**CONFIG))
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


def tokenizer(text: str):
    """A tokenizer that knows the words of one text, with T5's end of sequence."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = re.findall(r"\w+|[^\w\s]+", text)
    vocabulary = {word: number for number, word in enumerate(["<pad>", "</s>", "<unk>", *dict.fromkeys(words)])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return made


def encode(folder: Path, dtype: str) -> None:
    """Load both parts through expclip and encode two images, printing time and memory of each step."""
    import numpy as np
    from expclip.encoders.models import Models

    models = Models(asked_device="cpu", asked_dtype=None if dtype == "auto" else dtype)
    step = Step()
    query_tokens = models.query_tokens(str(folder))
    llm = models.llm(str(folder), INSTRUCTION)
    step.done("hash the weights")
    image_side = query_tokens.load("cpu")
    step.done("load image side")  # bfloat16 tensors are views of the files: most pages are read at first use
    text_side = llm.load("cpu")
    step.done("load text side")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    e_q = image_side(pixels).astype(np.float16)
    step.done("e_Q of 2 images")
    e_g = text_side(e_q)
    step.done("e_G of 2 images")
    e_g = text_side(e_q)
    step.done("e_G once more")
    apart = np.linalg.norm(e_g[0] - e_g[1]) / np.linalg.norm(e_g[0])
    print(f"e_G {e_g.shape}, finite: {bool(np.isfinite(e_g).all())}, the two images differ by {apart:.1%}")


class Step:
    """Prints seconds since the last step and the highest resident memory so far, mapped file pages included."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    def done(self, what: str) -> None:
        seconds = time.perf_counter() - self._since
        print(f"{what:18} {seconds:6.1f} s   peak {peak_memory() / 1e9:6.2f} GB", flush=True)
        self._since = time.perf_counter()


def peak_memory() -> int:
    """Bytes; on Linux by VmHWM, as getrusage counts what the process was before it became another program."""
    status = Path("/proc/self/status")
    if status.is_file():
        return 1024 * int(re.findall(r"VmHWM:\s*(\d+) kB", status.read_text())[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
