"""Matrix products by either library, and linear layers made of them, against torch's own."""

import pytest
import torch
from expclip.heads import products
from expclip.heads.products import linear, product

KERNELS = [torch.mm, *([products._by_onednn] if torch.backends.mkldnn.is_available() else [])]
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
    torch.testing.assert_close(product(a, b).double(), a.double() @ b.double(), rtol=1e-4, atol=1e-4)


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
