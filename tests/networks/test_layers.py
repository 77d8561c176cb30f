"""Layers: what they are fitted to, and what has no part in what they put out."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from gstar.networks.layers import Categories, ConvBlock, PiecewiseLinear, Scaling  # noqa: E402


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_scaling_centres_and_fills_gaps():
    x = 5 + 3 * normal(500, 2)
    x[7, 0] = float("nan")
    scaling = Scaling(2)
    scaling.prepare(x)
    out = scaling(x)
    assert out[7, 0] == 0
    torch.testing.assert_close(out.mean(0), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close((out**2).mean(0).sqrt(), torch.ones(2), atol=1e-2, rtol=0)


def test_scaling_leaves_constants_finite():
    scaling = Scaling(1)
    scaling.prepare(torch.full((9, 1), 7.0))
    assert scaling(torch.tensor([[7.0], [8.0]])).flatten().tolist() == [0.0, 1.0]


def test_piecewise_bins_fill_one_after_the_other():
    layer = PiecewiseLinear(1)
    layer.prepare(torch.linspace(0, 12, 121)[:, None])
    bins = layer(torch.tensor([[0.0], [3.5], [12.0], [99.0]]))[:, 1:]
    assert bins.sum(1).tolist() == pytest.approx([0, 3.5, 12, 12], abs=1e-4)
    assert torch.all(bins[:, 1:] <= bins[:, :-1] + 1e-5)


def test_piecewise_bins_without_width_stay_off():
    layer = PiecewiseLinear(1)
    layer.prepare(torch.ones(50, 1))
    assert layer(torch.tensor([[5.0]])).tolist() == [[5.0] + [0.0] * 12]


@pytest.mark.parametrize("onehot", [False, True])
def test_new_categories_look_like_missing_ones(onehot):
    layer = Categories([3, 80], onehot)
    codes = torch.tensor([[-1, -1], [3, 80], [0, 5]])
    out = layer(codes)
    assert out.shape == (3, layer.width)
    torch.testing.assert_close(out[0], out[1])
    assert not torch.equal(out[0], out[2])


@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
def test_what_is_masked_has_no_part_in_a_block(norm):
    block = ConvBlock(1, 4, 6, 2, norm).eval()
    x, mask = normal(3, 4, 20), torch.ones(3, 1, 10)
    x[:, :, 8:] = 0
    mask[:, :, 4:] = 0
    out = block(x, mask)
    torch.testing.assert_close(out[:, :, :4], block(x[:, :, :8], mask[:, :, :4]))
    assert torch.all(out[:, :, 4:] == 0)
