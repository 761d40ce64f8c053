"""What `--clip` may name: architectures with tags, files, random weights, and folders."""

import pickle
import re
import shlex
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from expclip.cli import app
from expclip.encoders.clip import towers
from expclip.encoders.families import Models
from expclip.encoders.names import clip_name
from expclip.encoders.weights_card import WeightsCard
from expclip.errors import ExpclipError, UsageError
from safetensors.torch import save_file
from typer.testing import CliRunner

TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 64, "patch_size": 32, "width": 32, "head_width": 16, "layers": 1},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """An architecture that open_clip knows for as long as a test runs."""
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny", TINY)
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-quickgelu", TINY | {"quick_gelu": True})
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny", {"openai": {"quick_gelu": True, "hf_hub": "a/b/"}})


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    return open_clip.CLIP(**TINY).state_dict()


def fails(make, error: type[ExpclipError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        make()
    assert caught.type is error
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "architecture", "weights"),
    [
        ("ViT-L-14", "ViT-L-14-quickgelu", "openai"),
        ("ViT-B-32@openai", "ViT-B-32-quickgelu", "openai"),
        ("ViT-B-16-quickgelu", "ViT-B-16-quickgelu", "openai"),
        ("ViT-B-32@laion2b_s34b_b79k", "ViT-B-32", "laion2b_s34b_b79k"),
        ("ViT-B-32@a@b.pt", "ViT-B-32", "a@b.pt"),
        ("local-dir:some/where", "", "some/where"),
    ],
)
def test_a_name_is_an_architecture_and_weights(text, architecture, weights):
    assert (clip_name(text).architecture, clip_name(text).source) == (architecture, weights)


def test_the_name_in_the_cache_has_no_folders_and_one_spelling_of_a_tag():
    assert clip_name("ViT-L-14").canonical == "ViT-L-14-quickgelu@openai"
    assert clip_name("ViT-B-32@laion2b-s34b-b79k").canonical == clip_name("ViT-B-32@laion2b_s34b_b79k").canonical
    assert clip_name("ViT-B-32@/data/My-Weights.pt").canonical == "ViT-B-32@My-Weights.pt"
    assert clip_name("local-dir:/data/My-CLIP/").canonical == "My-CLIP"


def test_weights_must_be_named_where_there_is_no_default():
    fails(lambda: clip_name("RN50"), UsageError, "name the weights too, as ARCH@TAG, ARCH@FILE or ARCH@random")


def test_every_tag_of_the_papers_backbones_wants_the_activation_it_was_trained_with():
    for architecture in ("ViT-B-32", "ViT-B-16", "ViT-L-14"):
        config = open_clip.get_model_config(clip_name(architecture).architecture)
        assert config["quick_gelu"] is True


def test_a_tag_with_the_other_gelu_is_refused(models):
    message = "trained with QuickGELU; write tiny-quickgelu@openai"
    fails(lambda: models().clip_image("tiny@openai"), UsageError, message)


@pytest.mark.parametrize("form", ["safetensors", "state dict", "training checkpoint"])
def test_a_file_of_weights_is_loaded(models, tmp_path, pixels, weights, form):
    path = tmp_path / ("w.safetensors" if form == "safetensors" else "w.pt")
    if form == "safetensors":
        save_file(weights, path)
    elif form == "state dict":
        torch.save(weights, path)
    else:
        torch.save({"epoch": 3, "state_dict": {f"module.{name}": value for name, value in weights.items()}}, path)
    own = open_clip.CLIP(**TINY).eval()
    own.load_state_dict(weights)
    with torch.no_grad():
        expected = own.encode_image(torch.from_numpy(pixels.copy()).permute(0, 3, 1, 2) / 255).numpy()
    np.testing.assert_allclose(models().clip_image(f"tiny@{path}").load("cpu")(pixels), expected, atol=1e-5)


def test_a_file_that_is_called_like_a_tag_does_not_stand_in_for_it(models, tmp_path, weights, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(weights, tmp_path / "openai")
    fails(lambda: models().clip_image("tiny@openai"), UsageError, "trained with QuickGELU")


def test_a_file_replaced_by_another_is_loaded_anew(models, tmp_path, pixels, weights):
    path = tmp_path / "w.safetensors"
    features = []
    for factor in (1, 2):
        save_file({name: value * factor for name, value in weights.items()}, path)
        features.append(models().clip_image(f"tiny@{path}").load("cpu")(pixels))
    assert np.abs(features[0] - features[1]).max() > 1e-3


class Mischief:
    """An object that writes a file when it is unpickled."""

    def __init__(self, path: Path):
        self._path = path

    def __reduce__(self):
        return (Path.touch, (self._path,))


def test_a_pickle_with_code_is_refused_and_does_not_run(models, tmp_path):
    for name, save, message in (
        ("torch.pt", torch.save, "holds pickled Python objects .* weights convert clip"),
        ("plain.pkl", lambda content, path: path.write_bytes(pickle.dumps(content)), "none that torch.save writes"),
    ):
        save({"state_dict": Mischief(tmp_path / "ran")}, tmp_path / name)
        node = models().clip_image(f"tiny@{tmp_path / name}")
        fails(lambda node=node: node.load("cpu"), ExpclipError, f"{name}.*{message}")
    assert not (tmp_path / "ran").exists()


class Tree(torch.nn.Module):
    """A module with some parameters and buffers, named with dots, that TorchScript can save."""

    def __init__(self, tensors: dict[str, torch.Tensor]):
        super().__init__()
        inner: dict[str, dict[str, torch.Tensor]] = {}
        for name, tensor in tensors.items():
            first, _, rest = name.partition(".")
            if rest:
                inner.setdefault(first, {})[rest] = tensor
            else:
                self.register_buffer(first, tensor)
        for name, parts in inner.items():
            self.add_module(name, Tree(parts))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_torchscript_is_refused_with_a_conversion_that_works(models, tmp_path, pixels, weights):
    path = tmp_path / "openai.pt"
    extra = {name: torch.tensor(64) for name in ("input_resolution", "context_length", "vocab_size")}
    torch.jit.script(Tree(weights | extra)).save(str(path))
    with pytest.raises(ExpclipError, match=r"openai\.pt is TorchScript, which is a program and is not run") as caught:
        models().clip_image(f"tiny@{path}").load("cpu")
    words = shlex.split(str(caught.value).split("`")[1])
    assert CliRunner().invoke(app, words[1:]).exit_code == 0
    name = f"tiny-quickgelu@{path.with_suffix('.safetensors')}"
    assert models().clip_image(name).load("cpu")(pixels).shape == (3, 16)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read .it is empty"),
        (b"PK\x03\x04 and then nothing", "cannot be read .File is not a zip file"),
    ],
    ids=["empty", "truncated"],
)
def test_a_file_that_is_no_checkpoint_is_refused(models, tmp_path, content, message):
    (tmp_path / "w.pt").write_bytes(content)
    fails(lambda: models().clip_image(f"tiny@{tmp_path / 'w.pt'}").load("cpu"), ExpclipError, message)


def test_weights_of_another_architecture_are_refused(models, tmp_path, weights):
    save_file({name: value for name, value in weights.items() if name != "ln_final.bias"}, tmp_path / "w.safetensors")
    node = models().clip_image(f"tiny@{tmp_path / 'w.safetensors'}")
    fails(lambda: node.load("cpu"), ExpclipError, r'does not hold the weights .*Missing key.*"ln_final.bias"')


def test_what_cannot_be_found_is_named(models, tmp_path):
    cases = {
        "ViT-L-15@openai": r"knows no such architecture; the closest are ViT-",
        "hf-hub:some/clip@x": "knows no such architecture",
        "ViT-L-14@typo": "neither a file nor a tag that open_clip knows; write a file, `random` or .* openai, ",
        f"tiny@{tmp_path}/typo.pt": re.escape(f"there is no file {tmp_path}/typo.pt"),
        f"local-dir:{tmp_path}/typo": re.escape(f"there is no folder {tmp_path}/typo"),
    }
    for name, message in cases.items():
        fails(lambda name=name: models().clip_image(name), UsageError, message)


def test_random_weights_are_marked_and_the_same_every_time(models, pixels):
    node = models().clip_image("tiny@random")
    first = node.load("cpu")(pixels)
    towers._built.cache_clear()
    torch.manual_seed(99)
    assert node.untrained and "random_seed" in node.spec["weights"]
    np.testing.assert_array_equal(models().clip_image("tiny@random").load("cpu")(pixels), first)


def test_a_folder_says_what_it_lacks(models, clip_folder, edit_json):
    name = f"local-dir:{clip_folder}"
    config, weights = clip_folder / "open_clip_config.json", clip_folder / "open_clip_model.safetensors"
    whole = config.read_text()
    (clip_folder / "tokenizer.json").unlink()
    fails(lambda: models().clip_text(name).load("cpu"), ExpclipError, "open_clip finds no tokenizer for it")
    edit_json(config, "model_cfg", "embed_dim", 48)
    fails(lambda: models().clip_image(name).load("cpu"), ExpclipError, "does not hold the weights of this model")
    edit_json(config, "model_cfg", "vision_cfg", "layers", "two")
    fails(lambda: models().clip_image(name), UsageError, "layers is 'two'; it must be a whole number")
    edit_json(config, "model_cfg", [])
    fails(lambda: models().clip_image(name), UsageError, "open_clip_config.json has no open_clip `model_cfg`")
    config.write_text(whole)
    weights.write_bytes(weights.read_bytes()[:-10])
    fails(lambda: models().clip_image(name).load("cpu"), ExpclipError, "does not hold the weights of this model")
    weights.unlink()
    fails(lambda: models().clip_image(name), UsageError, "has none of open_clip_model.safetensors, ")
    config.unlink()
    fails(lambda: models().clip_image(name), UsageError, "has no open_clip_config.json")


def card(quick_gelu: str) -> dict[str, str]:
    """The metadata of a converted file."""
    return WeightsCard("w.pt", "0" * 64, "openai-jit", quick_gelu, "0.1.0").metadata


@pytest.mark.parametrize(
    ("said", "wrong", "right"), [("yes", "tiny", "tiny-quickgelu"), ("no", "tiny-quickgelu", "tiny")]
)
def test_weights_that_say_their_activation_are_refused_under_the_other(models, tmp_path, weights, said, wrong, right):
    path = tmp_path / "w.safetensors"
    save_file(weights, path, card(said))
    fails(lambda: models().clip_image(f"{wrong}@{path}"), UsageError, re.escape(f"write {right}@{path}"))
    assert models().clip_image(f"{right}@{path}").model == f"{right}@w.safetensors"


def test_a_folder_with_weights_that_need_the_other_activation_is_refused(
    models, clip_folder, edit_json, read_tensors
):
    save_file(read_tensors(clip_folder), clip_folder / "open_clip_model.safetensors", card("yes"))
    name = f"local-dir:{clip_folder}"
    fails(
        lambda: models().clip_image(name),
        UsageError,
        "trained with QuickGELU.* `quick_gelu` in `model_cfg` of open_cl",
    )
    edit_json(clip_folder / "open_clip_config.json", "model_cfg", "quick_gelu", True)
    assert models().clip_image(name)


@pytest.fixture
def told() -> list[str]:
    """What is said of models that are found."""
    return []


def test_of_weights_that_do_not_say_their_activation_both_spellings_are_said_once(tmp_path, weights, told):
    path = tmp_path / "w.safetensors"
    save_file(weights, path)
    found = Models(asked_device="cpu", tell=lambda model, remark: told.append(f"{model}: {remark}"))
    for node in ("clip_image", "clip_text"):
        for protocol in ("released", "paper"):
            found.node(node, f"tiny@{path}", protocol)
    (said,) = told
    assert f"tiny-quickgelu@{path}" in said and f"tiny@{path} is right" in said


def test_a_command_says_both_spellings_once_and_beside_its_answer(tmp_path, weights, photos):
    path = tmp_path / "w.safetensors"
    save_file(weights, path)
    words = [
        "extract",
        str(photos),
        "--clip",
        f"tiny@{path}",
        "--features",
        "clip_image",
        "--device",
        "cpu",
        "--plan",
    ]
    done = CliRunner().invoke(app, [*words, "--json", "--cache", str(tmp_path / "cache")])
    assert done.exit_code == 0 and "QuickGELU" not in done.stdout
    assert done.stderr.count("QuickGELU") == 1 and f"write tiny-quickgelu@{path}" in done.stderr


def test_nothing_is_said_where_nothing_can_be_mistaken(tmp_path, weights, told, monkeypatch):
    save_file(weights, tmp_path / "w.safetensors")
    save_file(weights, tmp_path / "said.safetensors", card("no"))
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "alone", TINY)
    found = Models(asked_device="cpu", tell=lambda model, remark: told.append(remark))
    for name in ("tiny-quickgelu@w", "alone@w", "tiny@said"):
        found.node("clip_image", f"{name.partition('@')[0]}@{tmp_path}/{name.partition('@')[2]}.safetensors")
    found.node("clip_image", "tiny@random")
    assert told == []


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda w: w | {"visual.proj": w["visual.proj"].to_sparse()}, "'visual.proj': it is sparse"),
        (lambda w: w | {3: torch.ones(2)}, "3 is no name of a tensor"),
        (lambda w: w | {"ln_final.weight": w["ln_final.weight"].char()}, "ln_final.weight.*int8: quantised"),
        (lambda w: w | {"ln_final.weight": w["ln_final.weight"].cfloat()}, "values of the kind ComplexFloat"),
        (lambda w: w | {"visual.proj": torch.ones(1).expand(10**6, 10**6)}, "would take 4,000,"),
        (lambda w: {}, "no state dict with tensors"),
        (lambda w: {"epoch": 3}, "no state dict with tensors"),
        (
            lambda w: w | {"visual.proj": torch.quantize_per_tensor(w["visual.proj"], 0.1, 0, torch.qint8)},
            "quantised",
        ),
    ],
)
def test_what_torch_would_load_and_is_no_clip_is_one_line(models, tmp_path, weights, spoil, message):
    torch.save(spoil(weights), tmp_path / "w.pt")
    fails(lambda: models().clip_image(f"tiny@{tmp_path}/w.pt").load("cpu"), ExpclipError, message)


def test_a_state_dict_that_holds_itself_is_one_line(models, tmp_path):
    state: dict = {}
    state["state_dict"] = state
    torch.save(state, tmp_path / "w.pt")
    fails(
        lambda: models().clip_image(f"tiny@{tmp_path}/w.pt").load("cpu"), ExpclipError, "no state dict with tensors"
    )


def test_quantised_weights_in_safetensors_are_refused(models, tmp_path, weights):
    save_file(weights | {"ln_final.weight": weights["ln_final.weight"].char()}, tmp_path / "w.safetensors")
    node = models().clip_image(f"tiny@{tmp_path}/w.safetensors")
    fails(lambda: node.load("cpu"), ExpclipError, "'ln_final.weight' holds I8: quantised weights are not supported")


def test_weights_that_asks_torch_to_be_careless_are_read_with_care(models, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    torch.save({"state_dict": Mischief(tmp_path / "ran")}, tmp_path / "w.pt")
    fails(
        lambda: models().clip_image(f"tiny@{tmp_path}/w.pt").load("cpu"), ExpclipError, "holds pickled Python objects"
    )
    assert not (tmp_path / "ran").exists()
