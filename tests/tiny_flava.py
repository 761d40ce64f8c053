"""A FLAVA with random weights, in the format of the real checkpoint."""

from pathlib import Path

import torch
from expclip.manifests.classes import CLASSES
from transformers import BertTokenizer, FlavaConfig, FlavaForPreTraining
from transformers.models.flava.image_processing_pil_flava import FlavaImageProcessorPil

SIDE, PLACES = 32, 16
TOWER = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "a",
    "photo",
    "of",
    "face",
    "hap",
    "##py",
    "sad",
    ".",
    ",",
    *CLASSES,
    "with",
    "an",
    "expression",
]
BIN, SAFE, CONFIG, PREPROCESSOR = "pytorch_model.bin", "model.safetensors", "config.json", "preprocessor_config.json"


def _config() -> FlavaConfig:
    return FlavaConfig(
        image_config=TOWER | {"image_size": SIDE, "patch_size": 16},
        text_config=TOWER | {"vocab_size": len(WORDS), "max_position_embeddings": PLACES},
        multimodal_config=TOWER,
        image_codebook_config={"hidden_size": 8, "vocab_size": 16},
        hidden_size=32,
        projection_dim=24,
    )


def tiny_flava() -> FlavaForPreTraining:
    """One whose weights are large enough for every part to matter."""
    torch.manual_seed(4)
    made = FlavaForPreTraining(_config()).eval()
    with torch.no_grad():
        for name, value in made.named_parameters():
            if value.ndim and "layernorm" not in name.lower() and "logit_scale" not in name:
                value.normal_(std=0.2)
    return made


def write_flava(made: FlavaForPreTraining, folder: Path) -> None:
    """Make a folder in the hub's format, as it was published: a pickle of all that was trained."""
    folder.mkdir()
    made.config.save_pretrained(folder)
    places = {"flava.text_model.embeddings.position_ids": torch.arange(PLACES)[None]}
    torch.save(made.state_dict() | places, folder / BIN)
    square = {"height": SIDE, "width": SIDE}
    FlavaImageProcessorPil(size=square, crop_size=square).save_pretrained(folder)
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in WORDS), encoding="utf-8")
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    assert {path.name for path in folder.iterdir()} >= {CONFIG, PREPROCESSOR, BIN, "vocab.txt", "tokenizer.json"}
