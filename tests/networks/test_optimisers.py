"""Optimisers agree with their definitions, and schedule-free averages."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from gstar.networks.optimisers import OPTIMISERS, Flat  # noqa: E402


def make(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))


def loss_of(net, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(32, 3, generator=generator)
    return ((net(x)[:, 0] - x[:, 0]) ** 2).mean()


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("adamw", lambda p: torch.optim.AdamW(p, 0.01, betas=(0.9, 0.99), weight_decay=0.1)),
        ("sgd", lambda p: torch.optim.SGD(p, 0.01, momentum=0.9, nesterov=True)),
    ],
)
def test_updates_are_those_of_torch(name, reference):
    own, other = make(), make()
    decay = 0.1 if name == "adamw" else 0.0
    flat = Flat(own, decay)
    flat.decay.fill_(decay)  # torch decays vectors too
    optimiser, theirs = OPTIMISERS[name, False](flat), reference(other.parameters())
    for i in range(5):
        optimiser.backward(loss_of(own, i))
        optimiser.step(0.01)
        theirs.zero_grad()
        loss_of(other, i).backward()
        nn.utils.clip_grad_norm_(other.parameters(), 2.0)
        theirs.step()
    for mine, wanted in zip(own.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, wanted, atol=1e-5, rtol=1e-4)


def test_schedule_free_sgd_predicts_with_the_average_of_its_fast_weights():
    net = nn.Linear(1, 1, bias=False)
    optimiser = OPTIMISERS["sgd", True](Flat(net, 0.0))
    fast = [float(net.weight.detach())]
    for i in range(4):
        optimiser.backward((net(torch.ones(1, 1)) * (i + 1)).sum() * 0.1)
        optimiser.step(0.1)
        fast.append(fast[-1] - 0.1 * 0.1 * (i + 1))
    during = float(net.weight.detach())
    with optimiser.averaged():
        assert float(net.weight.detach()) == pytest.approx(sum(fast[1:]) / 4, abs=1e-6)
    assert float(net.weight.detach()) == during


@pytest.mark.parametrize("kind", list(OPTIMISERS))
def test_every_optimiser_lowers_the_loss(kind):
    net = make()
    optimiser = OPTIMISERS[kind](Flat(net, 0.0))
    before = loss_of(net).item()
    for _ in range(150):
        optimiser.backward(loss_of(net))
        optimiser.step(0.02)
    with optimiser.averaged():
        assert loss_of(net).item() < 0.3 * before


def test_gradients_are_cut():
    net = make()
    flat = Flat(net, 0.0)
    OPTIMISERS["sgd", False](flat).backward(1e6 * loss_of(net))
    assert float(flat.gradient.norm()) == pytest.approx(2.0, rel=1e-4)


def test_vectors_are_not_decayed():
    assert Flat(make(), 0.5).decay.tolist() == [0.5] * 12 + [0.0] * 4 + [0.5] * 4 + [0.0]
