"""Networks: padding and gaps have no part in what they put out; learned moves keep pictures apart."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from gstar.networks.bodies import augmented, build, reversal, turned  # noqa: E402


def make(network, **configuration):
    base = {"depth": 2, "width": 8, "norm": "batch", "dropout": 0.0, "cell": "lstm", "bidirectional": True}
    structure = {"network": network, "channels": 2, "gaps": True, "stride": 3, "outputs": 4}
    torch.manual_seed(0)
    return build({**structure, "configuration": {**base, **configuration}})


VARIANTS = [
    ("sequences", {}),
    ("sequences", {"norm": "layer", "depth": 3}),
    ("recurrent", {}),
    ("recurrent", {"cell": "gru", "bidirectional": False}),
    ("recurrent", {"norm": "layer", "cell": "gru"}),
]


@pytest.mark.parametrize(("network", "configuration"), VARIANTS)
def test_padding_has_no_part_in_predictions(network, configuration):
    net, lengths = make(network, **configuration).eval(), torch.tensor([5, 17, 1, 12])
    x = torch.randn(4, 17, 2)
    for row, n in enumerate(lengths):
        x[row, n:] = 0
    alone = torch.cat([net(x[i : i + 1, :n], lengths[i : i + 1]) for i, n in enumerate(lengths)])
    dirty = torch.cat([x, torch.zeros(4, 9, 2)], dim=1)
    for row, n in enumerate(lengths):
        dirty[row, n:] = float("nan") if row % 2 else 1e3
    with torch.no_grad():
        torch.testing.assert_close(net(x, lengths), alone, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(net(dirty, lengths), alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("network", ["sequences", "recurrent"])
def test_the_order_of_steps_matters(network):
    net, lengths = make(network).eval(), torch.tensor([9])
    x = torch.randn(1, 9, 2)
    assert not torch.allclose(net(x, lengths), net(x.flip(1), lengths), atol=1e-4)


@pytest.mark.parametrize("network", ["sequences", "recurrent"])
def test_scalings_are_fitted_to_what_is_inside(network):
    net, steps = make(network), torch.full((6, 10, 2), 1e6)
    lengths = torch.tensor([4] * 6)
    steps[:, :4] = torch.randn(6, 4, 2) + 3
    steps[2, 1, 0] = float("nan")
    net.prepare(steps, lengths)
    assert torch.all((net.entry.scaling.centre - 3).abs() < 1.5)
    assert torch.all(torch.isfinite(net(steps, lengths)))


def test_turning_twice_changes_nothing_and_leaves_the_padding():
    x, lengths = torch.arange(10.0).reshape(2, 5, 1), torch.tensor([5, 3])
    places = reversal(lengths, 5)
    assert turned(x, places)[1, :, 0].tolist() == [7, 6, 5, 8, 9]
    torch.testing.assert_close(turned(turned(x, places), places), x)


@pytest.mark.parametrize("height", [1, 3, 28])
def test_images_of_any_size_are_read(height):
    structure = {"network": "images", "channels": 3, "stride": 2, "outputs": 2}
    configuration = {"depth": 4, "width": 4, "norm": "layer", "dropout": 0.1, "augment": "mirror"}
    net = build({**structure, "configuration": configuration})
    pixels = torch.randint(0, 255, (5, 3, height, height + 1), dtype=torch.uint8)
    net.prepare(pixels)
    assert net(pixels).shape == (5, 2)


def test_augmentation_moves_and_mirrors_and_makes_nothing_up():
    x = torch.rand(64, 1, 20, 20) + 1
    torch.manual_seed(3)
    moved = augmented(x.clone(), "shift")
    assert not torch.equal(moved, x)
    assert set(moved.unique().tolist()) <= {0.0, *x.unique().tolist()}
    assert (moved == 0).float().mean() < 0.25
    still = torch.rand(400, 1, 9, 4)  # too small to move
    mirrored = torch.all((augmented(still.clone(), "mirror") == still.flip(3)).flatten(1), dim=1)
    assert 140 < int(mirrored.sum()) < 260
    assert augmented(x, "none") is x
