"""Optimisers on one flat vector that holds all weights of a network.

A small network has many small tensors, and time goes into calls and not into numbers: with all
trained weights as views of one vector, an update is a handful of calls.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Final

import torch
from torch import Tensor, nn

CLIP_NORM: Final = 2.0
MOMENTUM: Final = 0.9
SQUARES: Final = 0.99
EPSILON: Final = 1e-8
AVERAGED: Final = 0.9
"""How near to the average, rather than to the last weights, the gradient is taken."""


class Flat:
    """Holds the trained weights of a network in one vector, of which its parameters become views.

    Args:
        network: Parameters with `requires_grad` are trained.
        weight_decay: Of matrices; vectors (biases, norms) are not decayed.
    """

    def __init__(self, network: nn.Module, weight_decay: float) -> None:
        trained = [p for p in network.parameters() if p.requires_grad]
        self.values = torch.cat([p.detach().reshape(-1) for p in trained])
        self.gradient = torch.zeros_like(self.values)
        self.decay = torch.cat([torch.full((p.numel(),), weight_decay * (p.dim() > 1)) for p in trained])
        start = 0
        for p in trained:
            part = slice(start, start + p.numel())
            p.data, p.grad = self.values[part].view_as(p), self.gradient[part].view_as(p)
            start = part.stop


class AbstractOptimiser(ABC):
    """Moves the weights against their gradient.

    Args:
        flat: The weights.
    """

    def __init__(self, flat: Flat) -> None:
        self.flat = flat
        self.memory = {name: torch.zeros_like(flat.values) for name in self.remembers()}
        self.numbers: dict[str, float] = {}

    @abstractmethod
    def remembers(self) -> tuple[str, ...]:
        """Names the vectors that are kept from step to step."""

    @abstractmethod
    def step(self, rate: float) -> None:
        """Makes one step by the gradient that is there."""

    def backward(self, loss: Tensor) -> None:
        """Computes the gradient of a loss, cut to `CLIP_NORM`."""
        self.flat.gradient.zero_()
        loss.backward()
        norm = float(self.flat.gradient.norm())
        if norm > CLIP_NORM:
            self.flat.gradient.mul_(CLIP_NORM / norm)

    def copy(self, flat: Flat) -> AbstractOptimiser:
        """Returns one for the same weights in another place that goes on in the same way."""
        other = type(self)(flat)
        other.memory = {name: vector.clone() for name, vector in self.memory.items()}
        other.numbers = dict(self.numbers)
        return other

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Gives the network the weights to predict with while the context lasts."""
        yield

    def count(self) -> float:
        """Counts a step, and returns the number of steps with it."""
        self.numbers["steps"] = self.numbers.get("steps", 0.0) + 1
        return self.numbers["steps"]


class AdamW(AbstractOptimiser):
    """Scales each weight's step by its gradient's recent size.

    References:
        Loshchilov, Hutter: Decoupled weight decay regularization (2019), https://arxiv.org/abs/1711.05101
    """

    def remembers(self) -> tuple[str, ...]:
        return ("mean", "square")

    def step(self, rate: float) -> None:
        g, mean, square = self.flat.gradient, self.memory["mean"], self.memory["square"]
        n = self.count()
        mean.lerp_(g, 1 - MOMENTUM)
        square.mul_(SQUARES).addcmul_(g, g, value=1 - SQUARES)
        size = (square / (1 - SQUARES**n)).sqrt_().add_(EPSILON)
        self.flat.values.addcmul_(self.flat.values, self.flat.decay, value=-rate)
        self.flat.values.addcdiv_(mean, size, value=-rate / (1 - MOMENTUM**n))


class SGD(AbstractOptimiser):
    """Follows the gradient with Nesterov's momentum; weight decay is decoupled."""

    def remembers(self) -> tuple[str, ...]:
        return ("velocity",)

    def step(self, rate: float) -> None:
        g, velocity = self.flat.gradient, self.memory["velocity"]
        velocity.mul_(MOMENTUM).add_(g)
        self.flat.values.addcmul_(self.flat.values, self.flat.decay, value=-rate)
        self.flat.values.add_(g + MOMENTUM * velocity, alpha=-rate)


class AbstractScheduleFree(AbstractOptimiser):
    """Averages the weights instead of letting the rate fall, and predicts with the average.

    The network holds y, between the fast weights z and their average x.

    References:
        Defazio et al.: The road less scheduled (2024), https://arxiv.org/abs/2405.15682
    """

    def __init__(self, flat: Flat) -> None:
        super().__init__(flat)
        self.memory["fast"] = flat.values.clone()

    @abstractmethod
    def direction(self) -> Tensor:
        """Returns the gradient as the base optimiser scales it."""

    def step(self, rate: float) -> None:
        y, z = self.flat.values, self.memory["fast"]
        top = max(rate, self.numbers.get("top", 0.0))
        total = self.numbers.get("total", 0.0) + top**2
        self.numbers |= {"top": top, "total": total}
        share = top**2 / total
        move = self.direction().addcmul(self.flat.decay, y)
        y.lerp_(z, share).add_(move, alpha=rate * (AVERAGED * (1 - share) - 1))
        z.sub_(move, alpha=rate)

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Puts x where y is."""
        y = self.flat.values.clone()
        self.flat.values.lerp_(self.memory["fast"], 1 - 1 / AVERAGED)
        try:
            yield
        finally:
            self.flat.values.copy_(y)


class ScheduleFreeAdamW(AbstractScheduleFree):
    """Is schedule-free AdamW."""

    def remembers(self) -> tuple[str, ...]:
        return ("square",)

    def direction(self) -> Tensor:
        g, square = self.flat.gradient, self.memory["square"]
        square.mul_(SQUARES).addcmul_(g, g, value=1 - SQUARES)
        return g / (square / (1 - SQUARES ** self.count())).sqrt_().add_(EPSILON)


class ScheduleFreeSGD(AbstractScheduleFree):
    """Is schedule-free SGD."""

    def remembers(self) -> tuple[str, ...]:
        return ()

    def direction(self) -> Tensor:
        return self.flat.gradient.clone()


OPTIMISERS: Final[dict[tuple[str, bool], type[AbstractOptimiser]]] = {
    ("adamw", False): AdamW,
    ("sgd", False): SGD,
    ("adamw", True): ScheduleFreeAdamW,
    ("sgd", True): ScheduleFreeSGD,
}
"""By name, and whether schedule-free."""
