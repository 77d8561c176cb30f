"""How a network is trained, one mini-batch a step, and all that it takes to go on from where it stands."""

from __future__ import annotations

import contextlib
import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from gstar.learner import Pace
from gstar.networks.optimisers import OPTIMISERS, AbstractOptimiser, Flat
from gstar.schedule import factors_at
from gstar.space import Scalar

EVALUATION_ROWS: Final = 512
FIRST_SHARE: Final = 0.2
"""Share of the rows with which easy first and hard first begin."""
ALL_ROWS_AT: Final = 0.5
"""Progress at which they have come to all rows."""
DROP_FROM: Final = 0.2
"""Progress at which `small_loss` drops its whole share; before, less."""
MEMORY: Final = 0.9
"""Share of the old value in the running mean of the loss."""


@dataclass(frozen=True)
class Plan:
    """Is what stays the same from the first step to the last.

    Args:
        batch_size: Rows per step.
        planned: Steps after which it is done.
        optimiser: adamw | sgd.
        rate: Peak of the learning rate.
        weight_decay: Of matrices.
        schedule: A point of `gstar.strategy.SCHEDULE_SPACE`.
        pace: In which order rows are shown.
        threads: How many it may use.
    """

    batch_size: int
    planned: int
    optimiser: str
    rate: float
    weight_decay: float
    schedule: Mapping[str, Scalar]
    pace: Pace
    threads: int


@dataclass(frozen=True, eq=False)
class Rows:
    """Is what is trained on.

    Args:
        tensors: What the network takes, S rows each.
        target: ``(S,)`` int64 classes 0..K-1, or float32 values.
        weights: ``(S,)`` float32 with mean 1.
        even: ``(S,)`` float32 weights, to multiply with, under which all classes weigh the same.
    """

    tensors: tuple[Tensor, ...]
    target: Tensor
    weights: Tensor
    even: Tensor

    @staticmethod
    def of(tensors: tuple[Tensor, ...], target: np.ndarray, weights: np.ndarray | None) -> Rows:
        """Prepares rows; integer targets are classes."""
        is_class = target.dtype.kind in "iu"
        w = np.ones(len(target)) if weights is None else np.asarray(weights, float)
        w = w / w.mean() if w.sum() > 0 else np.ones(len(target))
        even = np.ones(len(target))
        if is_class:
            mass = np.bincount(target, weights=w)
            even = np.where(mass > 0, len(target) / np.maximum(np.count_nonzero(mass) * mass, 1e-12), 0.0)[target]
        return Rows(
            tensors,
            torch.from_numpy(target.astype(np.int64 if is_class else np.float32)),
            torch.from_numpy(w.astype(np.float32)),
            torch.from_numpy(even.astype(np.float32)),
        )

    def __len__(self) -> int:
        return len(self.target)

    @property
    def strata(self) -> np.ndarray:
        """``(S,)`` the class of each row; all 0 for values."""
        found: np.ndarray = self.target.numpy() if self.target.dtype == torch.int64 else np.zeros(len(self), int)
        return found

    def losses(self, output: Tensor, rows: Tensor | slice) -> Tensor:
        """Returns the ``(B,)`` loss of outputs ``(B, K)``: cross-entropy, or half the squared error."""
        if self.target.dtype == torch.int64:
            return nn.functional.cross_entropy(output, self.target[rows], reduction="none")
        return 0.5 * (output[:, 0] - self.target[rows]) ** 2


@dataclass(eq=False)
class Training:
    """Is a network on its way. It changes as it is trained; `copy` branches it.

    Args:
        network: The network; between steps it holds the weights of the optimiser.
        rows: What it is trained on.
        plan: What stays the same.
        optimiser: With all it remembers.
        random: State of the random generator that only this training uses.
        began: Time by `time.monotonic` when it was made, for deadlines.
        steps: Mini-batches so far.
        time_share: Share of the time until the deadline that is over; 0 without one.
        queue: The batches left of the current pass over the rows.
        support_loss: Running mean of the loss of recent mini-batches, NaN before the first.
        rate_factor, drop_share, balanced: What `adjust` has decided.
        diverged: Whether a loss was not finite.
    """

    network: nn.Module
    rows: Rows
    plan: Plan
    optimiser: AbstractOptimiser
    random: Tensor
    began: float = field(default_factory=time.monotonic)
    steps: int = 0
    time_share: float = 0.0
    queue: tuple[Tensor, ...] = ()
    support_loss: float = math.nan
    rate_factor: float = 1.0
    drop_share: float = 0.0
    balanced: bool = False
    diverged: bool = False

    @staticmethod
    def start(make: Callable[[], nn.Module], rows: Rows, plan: Plan, *, seed: int) -> Training:
        """Makes a network from a seed and prepares its training.

        Args:
            make: Builds the network; what has no `requires_grad` is not trained.
            rows: What it is trained on.
            plan: How.
            seed: Seed of everything random.
        """
        with isolated(None, plan.threads):
            torch.manual_seed(seed)
            network = make()
            random = torch.get_rng_state()
        kind = OPTIMISERS[plan.optimiser, plan.schedule.get("kind") == "schedule_free"]
        return Training(network, rows, plan, kind(Flat(network, plan.weight_decay)), random)

    @property
    def progress(self) -> float:
        """How far the training has come, in [0, 1]: by steps, or by time if the deadline is nearer."""
        return min(1.0, max(self.steps / self.plan.planned, self.time_share))

    @property
    def done(self) -> bool:
        """Whether its schedule has run out, or it has diverged."""
        return self.diverged or self.progress >= 1.0

    def advance(self, steps: int, deadline: float | None) -> None:
        """Trains some steps, at least one; returns early after the deadline."""
        with isolated(self.random, self.plan.threads), torch.enable_grad():
            self.network.train()
            for _ in range(steps):
                if self.done:
                    break
                self._step(deadline)
                if deadline is not None and time.monotonic() > deadline:
                    break
            self.random = torch.get_rng_state()

    def _step(self, deadline: float | None) -> None:
        if deadline is not None:
            left = max(deadline - self.began, 1e-9)
            self.time_share = max(self.time_share, min(1.0, (time.monotonic() - self.began) / left))
        if not self.queue:
            self.queue = self._new_pass()
        batch, *rest = self.queue
        self.queue = tuple(rest)
        output = self.network(*(tensor[batch] for tensor in self.rows.tensors))
        weights = self.rows.weights[batch] * (self.rows.even[batch] if self.balanced else 1.0)
        loss = (self.rows.losses(output, batch) * weights).mean()
        self.steps += 1
        if not math.isfinite(value := float(loss.detach())):
            self.diverged = True
            return
        self.support_loss = value if self.steps == 1 else MEMORY * self.support_loss + (1 - MEMORY) * value
        self.optimiser.backward(loss)
        self.optimiser.step(self._rate())

    def _rate(self) -> float:
        """Returns the learning rate of this step; the last planned one is where the schedule ends."""
        at = max((self.steps - 1) / max(1, self.plan.planned - 1), self.time_share)
        return self.rate_factor * self.plan.rate * float(factors_at(self.plan.schedule, np.array([min(1.0, at)]))[0])

    def _new_pass(self) -> tuple[Tensor, ...]:
        """Shuffles the rows that take part now into batches of nearly the same size."""
        rows = self._taking_part()
        rows = rows[torch.randperm(len(rows))]
        if len(rows) == 1:
            rows = rows.repeat(2)  # batch norm needs two
        return torch.tensor_split(rows, math.ceil(len(rows) / self.plan.batch_size))

    def _taking_part(self) -> Tensor:
        """Returns the rows of this pass, by pace and by what `adjust` has dropped, from each class alike."""
        pace = self.plan.pace
        kept = np.ones(len(self.rows), bool)
        share = min(1.0, FIRST_SHARE + (1 - FIRST_SHARE) * self.progress / ALL_ROWS_AT)
        is_known = pace.difficulty is not None or self.steps > 0
        if pace.kind in ("easy_first", "hard_first") and is_known and share < 1:
            kept &= self._lowest(self._difficulty(), share, kept)
        drop = max(self.drop_share, pace.drop_share * min(1.0, self.progress / DROP_FROM))
        if drop > 0:
            kept &= self._lowest(self.losses(), 1 - drop, kept)
        return torch.from_numpy(np.flatnonzero(kept))

    def _difficulty(self) -> np.ndarray:
        """Returns the ``(S,)`` values by which rows come, the first ones lowest."""
        pace = self.plan.pace
        hard = self.losses() if pace.difficulty is None else pace.difficulty
        return hard if pace.kind == "easy_first" else -hard

    def _lowest(self, values: np.ndarray, share: float, among: np.ndarray) -> np.ndarray:
        """Tells which rows are in the lowest share of their class among these; at least one of each."""
        return place_in_stratum(values, np.where(among, self.rows.strata, -1)) < share

    def losses(self) -> np.ndarray:
        """Returns the ``(S,)`` loss of each row as the network stands."""
        self.network.eval()
        with torch.no_grad():
            found = [
                self.rows.losses(self.network(*(t[part] for t in self.rows.tensors)), part)
                for part in slices(len(self.rows))
            ]
        self.network.train()
        return torch.cat(found).numpy()

    def adjust(self, rate_factor: float, drop_share: float, balance: bool) -> None:
        """Changes how it goes on; see `AbstractLearner.adjust`."""
        self.rate_factor *= rate_factor
        self.balanced = self.balanced or balance
        if drop_share > self.drop_share:
            self.drop_share, self.queue = drop_share, ()

    def copy(self) -> Training:
        """Returns a training that goes on in the same way, whatever becomes of this one."""
        network = copy.deepcopy(self.network)
        optimiser = self.optimiser.copy(Flat(network, self.plan.weight_decay))
        return replace(self, network=network, optimiser=optimiser, random=self.random.clone())

    @contextlib.contextmanager
    def evaluated(self) -> Iterator[nn.Module]:
        """Yields the network with the weights to predict with."""
        with self.optimiser.averaged():
            yield self.network


@contextlib.contextmanager
def isolated(random: Tensor | None, threads: int) -> Iterator[None]:
    """Gives torch so many threads and this state of its generator; puts both back in the end."""
    before, n_before = torch.get_rng_state(), torch.get_num_threads()
    torch.set_num_threads(threads)
    if random is not None:
        torch.set_rng_state(random)
    try:
        yield
    finally:
        torch.set_rng_state(before)
        torch.set_num_threads(n_before)


def outputs(network: nn.Module, tensors: tuple[Tensor, ...]) -> Tensor:
    """Returns the ``(N, K)`` outputs of a network, in one thread, so that they repeat on any machine."""
    network.eval()
    with isolated(None, 1), torch.no_grad():
        found = [network(*(tensor[part] for tensor in tensors)) for part in slices(len(tensors[0]))]
    return torch.cat(found)


def slices(n: int) -> list[slice]:
    """Returns parts of at most `EVALUATION_ROWS` positions."""
    return [slice(i, min(i + EVALUATION_ROWS, n)) for i in range(0, max(n, 1), EVALUATION_ROWS)]


def place_in_stratum(values: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """Returns where each value stands in its stratum: 0 for the lowest, below 1 for the highest.

    Example:
        >>> place_in_stratum(np.array([5.0, 1.0, 3.0, 9.0]), np.array([0, 0, 1, 1])).tolist()
        [0.5, 0.0, 0.0, 0.5]
    """
    order = np.lexsort((values, strata))
    sizes = np.unique(strata, return_counts=True)[1]
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    place = np.empty(len(values))
    place[order] = (np.arange(len(values)) - starts) / np.repeat(sizes, sizes)
    return place


def initialise(network: nn.Module, tensors: Mapping[str, Tensor], *, frozen: bool) -> None:
    """Copies all tensors that agree in name and shape, except the scaling of inputs, which is the rows' own.

    Args:
        network: Gets them.
        tensors: Of another network.
        frozen: Whether what was copied is not trained; the head always is.
    """
    own = network.state_dict()
    fitting = {name: t for name, t in tensors.items() if name in own and own[name].shape == t.shape}
    copied = {name: t for name, t in fitting.items() if "scaling" not in name.split(".")}
    network.load_state_dict(copied, strict=False)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(not (frozen and name in copied) or name.startswith("head."))
