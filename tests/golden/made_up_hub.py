"""A cache of the Hugging Face hub with the default models: their real configurations, and weights of a few bytes."""

import hashlib
import json
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def fill_hub(hub: Path) -> None:
    """Put OpenAI's three CLIPs and the encoder side of the default BLIP-2 into a cache of the hub."""
    for tower in ("base_patch32", "base_patch16", "large_patch14"):
        _put(hub, f"timm/vit_{tower}_clip_224.openai", {"open_clip_model.safetensors": tower})
    index = {"weight_map": {name: _shard(name) for name in _tensor_names()}}
    files = {
        "config.json": _BLIP2,
        "tokenizer.json": json.dumps({"version": "1.0"}),
        "model.safetensors.index.json": json.dumps(index),
        "model-00001-of-00003.safetensors": "image side",
        "model-00002-of-00003.safetensors": "text side",
    }
    _put(hub, "Salesforce/blip2-flan-t5-xxl", files)


def _put(hub: Path, repository: str, files: dict[str, str]) -> None:
    """As the hub's client does: blobs named by their digests, and links to them."""
    folder = hub / f"models--{repository.replace('/', '--')}"
    snapshot = folder / "snapshots" / COMMIT
    for place in (folder / "blobs", folder / "refs", snapshot):
        place.mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT)
    for name, text in files.items():
        content = text.encode()
        git = hashlib.sha1(b"blob %d\0" % len(content) + content)
        blob = (hashlib.sha256(content) if name.endswith(".safetensors") else git).hexdigest()
        (folder / "blobs" / blob).write_bytes(content)
        (snapshot / name).symlink_to(Path("../../blobs") / blob)


_BLIP2 = """{
 "model_type": "blip-2",
 "num_query_tokens": 32,
 "vision_config": {
  "hidden_size": 1408, "intermediate_size": 6144, "num_hidden_layers": 39, "num_attention_heads": 16,
  "image_size": 224, "patch_size": 14, "hidden_act": "gelu", "layer_norm_eps": 1e-5, "qkv_bias": true
 },
 "qformer_config": {
  "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
  "cross_attention_frequency": 2, "encoder_hidden_size": 1408
 },
 "text_config": {
  "model_type": "t5", "vocab_size": 32128, "d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24,
  "num_heads": 64, "dense_act_fn": "gelu", "feed_forward_proj": "gated-gelu", "eos_token_id": 1
 }
}"""


def _shard(name: str) -> str:
    """The decoder's is not in the hub's cache: nobody needs it."""
    number = 3 if ".decoder." in name else 2 if name.startswith("language_") else 1
    return f"model-{number:05d}-of-00003.safetensors"


def _tensor_names() -> list[str]:
    layer = ("self_attn.qkv", "self_attn.projection", "layer_norm1", "layer_norm2", "mlp.fc1", "mlp.fc2")
    vision = ["embeddings.patch_embedding", "post_layernorm"]
    vision += [f"encoder.layers.{k}.{part}" for k in range(39) for part in layer]
    attention = [f"attention.{part}" for part in ("query", "key", "value")] + ["output.dense", "output.LayerNorm"]
    feed_forward = ("intermediate_query.dense", "output_query.dense", "output_query.LayerNorm")
    qformer = ["layernorm"]
    for k in range(12):
        kinds = ("attention", "crossattention") if k % 2 == 0 else ("attention",)
        parts = [f"{kind}.{part}" for kind in kinds for part in attention]
        qformer += [f"encoder.layer.{k}.{part}" for part in (*parts, *feed_forward)]
    modules = [f"vision_model.{one}" for one in vision] + [f"qformer.{one}" for one in qformer]
    names = [f"{one}.{kind}" for one in (*modules, "language_projection") for kind in ("weight", "bias")]
    t5 = ["shared", "encoder.final_layer_norm", "encoder.block.0.layer.0.SelfAttention.relative_attention_bias"]
    block = [f"0.SelfAttention.{one}" for one in "qkvo"] + ["0.layer_norm", "1.layer_norm"]
    block += [f"1.DenseReluDense.{one}" for one in ("wi_0", "wi_1", "wo")]
    t5 += [f"{side}.block.{k}.layer.{part}" for side in ("encoder", "decoder") for k in range(24) for part in block]
    embeddings = [f"vision_model.embeddings.{one}_embedding" for one in ("class", "position")]
    return ["query_tokens", *embeddings, *names, *(f"language_model.{one}.weight" for one in t5)]
