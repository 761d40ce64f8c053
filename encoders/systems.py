"""The systems whose published weights `expclip weights convert` reads."""

from dataclasses import dataclass


@dataclass(frozen=True)
class System:
    """How the weights of a system are published, and what is known of them."""

    about: str
    is_torchscript: bool = False
    quick_gelu: bool | None = None
    """Whether they were trained with QuickGELU; None where that depends on the file."""
    not_weights: tuple[str, ...] = ()
    """Tensors of the file that say what the model is, or that it makes itself."""
    other_tasks: tuple[str, ...] = ()
    """How tensors begin that belong to what the model learnt besides, and that are left out."""
    is_whole_clip: bool = False
    """Whether what is left must be all of a CLIP and nothing else."""
    own_form: str = ""
    """The function that names what is left as the system's family does, and refuses what is not the system's."""
    may_name: tuple[str, ...] | None = None
    """What such a file may name besides what tensors are made of; None where any: nothing of it is run."""
    has_classifier: bool = False
    """Whether it is a CLIP and a classifier of clips behind it, which becomes a file of its own."""


_NUMPY = (
    *("numpy.ndarray", "numpy.dtype", "_codecs.encode"),
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
)
"""What arrays and numbers of NumPy are made of."""
_OF_A_TRAINING = ("collections.defaultdict", "collections.Counter", "argparse.Namespace", *_NUMPY)
"""What the states of optimisers, schedules and options may name."""

SYSTEMS = {
    "clip": System("a CLIP's state dict, as torch.save writes it, alone or in a checkpoint of a training"),
    "openai-jit": System(
        "OpenAI's own files, which are TorchScript",
        is_torchscript=True,
        quick_gelu=True,
        not_weights=("input_resolution", "context_length", "vocab_size", "attn_mask"),
    ),
    "farl": System(
        "FaRL's files (a ViT-B/16 on faces), with the head of its masked pictures left out",
        quick_gelu=True,
        other_tasks=("visual.mask_token", "visual.ln_lm.", "visual.lm_transformer.", "visual.lm_head."),
        is_whole_clip=True,
    ),
    "dfer-clip": System(
        "DFER-CLIP's files (a fine-tuned CLIP, a model over frames and a prompt a class)",
        quick_gelu=True,
        may_name=("__main__.RecorderMeter", *_NUMPY),
        has_classifier=True,
    ),
    "emotionclip": System(
        "EmotionCLIP's file (a ViT-B/32 and its clip head)",
        quick_gelu=False,
        not_weights=("visual_head.position_ids",),
        own_form="encoders.emotionclip.emotionclip_file:own_form",
        may_name=_OF_A_TRAINING,
    ),
    "emoclip": System(
        "EmoCLIP's files (a ViT-B/32 and its temporal model), with the layers of its downstream task left out",
        quick_gelu=True,
        other_tasks=("mlp.",),
        own_form="encoders.emoclip.emoclip_file:own_form",
        may_name=_OF_A_TRAINING,
    ),
}
