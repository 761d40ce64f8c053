"""Matrix products by either library, and linear layers made of them, against torch's own."""

import open_clip
import pytest
import torch
from expclip.encoders import products
from expclip.encoders.products import faster_layers, linear, product

KERNELS = [products._by_blas, *([products._by_onednn] if torch.backends.mkldnn.is_available() else [])]
LARGE = 300, 520, 700
"""Rows, length and columns of products that are timed first."""


@pytest.fixture
def timed(monkeypatch):
    """A stopwatch that says which kernel is slow."""
    products._fastest.cache_clear()
    slow: list[object] = []
    monkeypatch.setattr(products, "_seconds", lambda kernel, a, b: 2.0 if kernel in slow else 1.0)
    yield slow
    products._fastest.cache_clear()


def factors(a_has_rows: bool, b_has_rows: bool) -> tuple[torch.Tensor, torch.Tensor]:
    n, k, m = LARGE
    torch.manual_seed(0)
    a = torch.randn(n, k) if a_has_rows else torch.randn(k, n).T
    b = torch.randn(k, m) if b_has_rows else torch.randn(m, k).T
    return a, b


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("a_has_rows", [True, False])
@pytest.mark.parametrize("b_has_rows", [True, False])
def test_either_library_multiplies_views_as_float64_does(timed, kernel, a_has_rows, b_has_rows):
    timed += [other for other in KERNELS if other is not kernel]
    a, b = factors(a_has_rows, b_has_rows)
    expected, bias = a.double() @ b.double(), torch.randn(b.shape[1])
    torch.testing.assert_close(product(a, b).double(), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(product(a, b, bias).double(), expected + bias.double(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_faster_library_is_kept(timed, kernel, monkeypatch):
    timed += [other for other in KERNELS if other is not kernel]
    n, k, m = LARGE
    assert products._fastest(n.bit_length(), k, m, True, True, 1) is kernel


@pytest.mark.skipif(len(KERNELS) == 1, reason="this torch has no oneDNN")
def test_a_tie_is_not_decided_by_chance(timed):
    n, k, m = LARGE
    assert {products._fastest(n.bit_length(), k, m, True, True, threads) for threads in range(9)} == {KERNELS[1]}


def test_a_torch_without_onednn_multiplies_by_its_blas(timed, monkeypatch):
    def lacks(*_):
        raise AttributeError("'_OpNamespace' 'mkldnn' object has no attribute '_linear_pointwise'")

    monkeypatch.undo()
    products._fastest.cache_clear()
    monkeypatch.setattr(products, "_by_onednn", lacks)
    a, b = factors(True, True)
    torch.testing.assert_close(product(a, b), torch.mm(a, b))


def test_small_products_and_those_in_other_dtypes_are_not_timed(monkeypatch):
    monkeypatch.setattr(products, "_fastest", None)
    a, b = factors(True, True)
    torch.testing.assert_close(product(a[:4], b), torch.mm(a[:4], b))
    torch.testing.assert_close(product(a.double(), b.double()), torch.mm(a.double(), b.double()))


@pytest.mark.parametrize("shape", [(5, 7), (2, 3, 7), (300, 520)])
@pytest.mark.parametrize("has_bias", [True, False])
def test_a_linear_layer_and_its_gradients_are_those_of_torch(shape, has_bias):
    torch.manual_seed(0)
    inputs = [torch.randn(*shape), torch.randn(700, shape[-1]), *([torch.randn(700)] if has_bias else [])]
    found, expected = ([one.clone().requires_grad_() for one in inputs] for _ in range(2))
    slope = torch.randn(*shape[:-1], 700)
    ours, theirs = linear(*found), torch.nn.functional.linear(*expected)
    ours.backward(slope)
    theirs.backward(slope)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("shape", [(5, 7), (2, 3, 7), (300, 520)])
@pytest.mark.parametrize("has_bias", [True, False])
def test_a_linear_layer_without_gradients_is_the_same(shape, has_bias):
    torch.manual_seed(0)
    inputs = [torch.randn(*shape), torch.randn(700, shape[-1]), *([torch.randn(700)] if has_bias else [])]
    with torch.inference_mode():
        torch.testing.assert_close(linear(*inputs), torch.nn.functional.linear(*inputs), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_frozen_model_gives_the_same_with_our_layers(timed, kernel, monkeypatch):
    timed += [other for other in KERNELS if other is not kernel]
    monkeypatch.setattr(products, "_SMALL", 1)
    ours: list[torch.Tensor] = []
    monkeypatch.setattr(products, "product", lambda *given: ours.append(product(*given)) or ours[-1])
    torch.manual_seed(0)
    model = open_clip.create_model("RN50", load_weights=False).eval()
    texts, pictures = torch.randint(1, 49000, (3, 77)), torch.randn(2, 3, 224, 224)
    with torch.inference_mode():
        expected = model.encode_text(texts), model.encode_image(pictures)
        with faster_layers("cpu"):
            found = model.encode_text(texts), model.encode_image(pictures)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert len(ours) >= 12 * 2  # of each block of the text tower, the two layers that are called as such


def test_on_other_devices_and_in_other_dtypes_the_layers_stay_as_they_are(monkeypatch):
    monkeypatch.setattr(products, "linear", None)
    x, weight = torch.randn(3, 4), torch.randn(5, 4)
    with faster_layers("cuda:0"):
        torch.nn.functional.linear(x, weight)
    with faster_layers("cpu"):
        torch.nn.functional.linear(x.bfloat16(), weight.bfloat16())
    with pytest.raises(TypeError), faster_layers("cpu"):
        torch.nn.functional.linear(x, weight)


@pytest.mark.parametrize("has_mask", [True, False])
@pytest.mark.parametrize("with_gradients", [True, False])
def test_attention_of_tokens_to_each_other_is_torchs_by_our_products(timed, monkeypatch, has_mask, with_gradients):
    torch.manual_seed(0)
    attention = torch.nn.MultiheadAttention(64, 4, batch_first=True).eval()
    x = torch.randn(3, 50, 64, requires_grad=with_gradients)
    mask = torch.full((50, 50), float("-inf")).triu(1) if has_mask else None

    def found():
        with torch.set_grad_enabled(with_gradients):
            out = attention(x, x, x, need_weights=False, attn_mask=mask)[0]
        return (out, *torch.autograd.grad(out.square().sum(), x)) if with_gradients else (out,)

    expected = found()
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", counted := Counted())
    with faster_layers("cpu"):
        ours = found()
    assert counted.calls == 1
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


class Counted:
    """Torch's own, counted."""

    def __init__(self):
        self.calls, self.own = 0, torch.nn.functional.scaled_dot_product_attention

    def __call__(self, *args, **kwargs):
        self.calls += 1
        return self.own(*args, **kwargs)


@pytest.mark.parametrize("other", ["another key", "weights", "padding", "a mask of booleans"])
def test_other_attention_is_torchs_own(other):
    torch.manual_seed(0)
    attention, x = torch.nn.MultiheadAttention(16, 2, batch_first=True).eval(), torch.randn(2, 5, 16)
    key = torch.randn(2, 5, 16) if other == "another key" else x
    how = {"need_weights": other == "weights"}
    if other == "padding":
        how["key_padding_mask"] = torch.tensor([[False] * 4 + [True]] * 2)
    if other == "a mask of booleans":
        how["attn_mask"] = torch.ones(5, 5, dtype=torch.bool).triu(1)
    expected = attention(x, key, key, **how)
    with torch.no_grad(), faster_layers("cpu"):
        torch.testing.assert_close(attention(x, key, key, **how), expected)
