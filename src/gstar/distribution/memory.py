r"""g that attends to remembered tasks: how well strategies did where tasks look alike and went alike.

A state is what is seen of a task and what was tried on it so far. Each remembered task m is as near to it as

    w_m ~ exp( - sum_x a_x (seen_x - seen_mx)^2  -  b mean_j (valid_j - valid_mj)^2 ),

j over the strategies that were tried on both. On each of them it is known what trying a strategy s next would have
left: the reward of s if it validates better than all before, else of the best before. g is a softmax of its mean,

    q(s) = sum_m ((1 - c) w_m + c / M) kept_m(s),      g(s) = softmax(t q(s)).

The metric a, and b, c, t, are meta-parameters, learned by the policy gradient; before anything is learned g is the
greedy portfolio of the nearest tasks. Few numbers are learned, and a task that is remembered later counts at once.
While it learns, a task does not attend to tasks of its own family.

References:
    Vinyals, Blundell, Lillicrap, Kavukcuoglu, Wierstra: Matching networks for one shot learning (2016),
    https://arxiv.org/abs/1606.04080. Pritzel et al.: Neural episodic control (2017),
    https://arxiv.org/abs/1703.01988.

Differences from the papers:
    1. What is averaged is what a strategy adds to those tried before, not a label or a return.
    2. The embedding is the description of the task as it is, with a learned weight for each number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, TypeAlias, TypeVar

import autograd.numpy as anp
import numpy as np

from gstar.distribution.finite import FiniteDistribution, log_softmax
from gstar.distribution.truncated import Differentiable
from gstar.errors import UsageError
from gstar.space import Scalar

Array: TypeAlias = np.ndarray
K = TypeVar("K")
V = TypeVar("V")

METRIC: Final = 0.3
"""a before it is learned, for numbers of size 1."""
RESULTS: Final = 10.0
"""b: for scores of size 1."""
COMMON: Final = 0.2
"""c: the share of the weight that all remembered tasks have alike."""
SHARPNESS: Final = 15.0
"""t: for rewards of size 1."""
LEAST: Final = -0.3
_OFF: Final = -1e4
_NOBODY: Final = -1
_ROOM: Final = 2**26
"""Bytes that what was worked out for states may take; then it is worked out again."""


@dataclass(frozen=True, eq=False)
class Memory:
    """Is what is remembered of M tasks.

    Args:
        seen: ``(M, X)`` numbers of size 1 that describe them.
        groups: ``(M,)`` whole numbers; tasks of another group (another form, say) are never alike.
        families: ``(M,)`` whole numbers; a task does not learn from its own family.
        rewards: ``(M, P)`` of each strategy, 0 a constant prediction, 1 a perfect one; NaN where it was not tried.
        valid: ``(M, P)`` the same on validation rows, by which the best of several is chosen.
    """

    seen: Array
    groups: Array
    families: Array
    rewards: Array
    valid: Array

    @cached_property
    def known(self) -> Array:
        """``(M, P)`` whether a strategy was tried."""
        return np.asarray(np.isfinite(self.rewards) & np.isfinite(self.valid))

    @cached_property
    def _kept(self) -> dict[tuple[float, ...], Array]:
        return {}

    def kept(self, tried: Sequence[int], least: float = LEAST) -> Array:
        """Returns ``(M, P)`` the reward that is left when a strategy is tried after some others; 0 where not known.

        Args:
            tried: Columns of the others.
            least: A worse reward counts as this one.
        """
        columns = sorted(tried)
        key = (least, *columns)
        if key not in self._kept:
            rewards = np.where(self.known, np.maximum(self.rewards, least), 0.0)
            valid = np.where(self.known, self.valid, -np.inf)
            if columns:
                rows, best = np.arange(len(rewards)), np.array(columns)[np.argmax(valid[:, columns], axis=1)]
                before = np.where(self.known[rows, best], rewards[rows, best], 0.0)[:, None]
                rewards = np.where(valid > valid[rows, best][:, None], rewards, before)
            _keep(self._kept, key, rewards, rewards.nbytes)
        return self._kept[key]


@dataclass(frozen=True, eq=False)
class MemoryDistribution(FiniteDistribution):
    """Is g over P candidates that attends to what is remembered of other tasks.

    A context is a state: see `state`. What was tried is not drawn again.

    Args:
        candidates: P points, the columns of the memory.
        memory: What is remembered.
        trials: How many trials a state may show.
        least: A worse reward counts as this one: how bad a strategy is does not matter.
        has_scale: Whether scores of a state are rewards, as those that are remembered. If not, where they begin and
            what they are worth is not known; they are moved and stretched to fit those of each remembered task.
    """

    memory: Memory
    trials: int = 2
    least: float = LEAST
    has_scale: bool = True
    _codes: dict[bytes, tuple[tuple[int, ...], Array, Array, Array, Array]] = field(default_factory=dict, repr=False)

    @property
    def n_seen(self) -> int:
        """X, how many numbers describe a task."""
        return int(self.memory.seen.shape[1])

    @property
    def context_size(self) -> int:  # type: ignore[override]
        """Numbers in a state: X, two for each trial, group and family."""
        return self.n_seen + 2 * self.trials + 2

    @property
    def size(self) -> int:
        """W: a metric of X numbers, b, c and t."""
        return self.n_seen + 3

    @cached_property
    def fingerprint(self) -> str:
        digest = hashlib.sha256(f"{list(self._rows)} {self.trials} {self.least} {self.has_scale}".encode())
        for array in (self.memory.seen, self.memory.rewards, self.memory.valid):
            digest.update(np.ascontiguousarray(array, float).tobytes())
        return digest.hexdigest()[:16]

    def start(self, rng: np.random.Generator, *, at: Mapping[str, Scalar] | None = None, spread: float = 0.5) -> Array:
        """Returns ``(W,)`` logarithms of metric, b and t, and the logit of c: those of the nearest tasks' portfolio."""
        ends = [np.log(RESULTS), np.log(COMMON / (1 - COMMON)), np.log(SHARPNESS)]
        return np.concatenate([np.full(self.n_seen, np.log(METRIC)), ends])

    def state(
        self, seen: Array, group: int, *, family: int = _NOBODY, tried: Sequence[int] = (), valid: Sequence[float] = ()
    ) -> Array:
        """Returns the numbers of a state.

        Args:
            seen: ``(X,)`` what describes the task.
            group: Its group.
            family: Its family, if it is remembered itself.
            tried: Columns of the strategies tried so far, no more than `trials`.
            valid: What they scored on validation rows, as rewards.

        Raises:
            UsageError: If more was tried than a state may show.
        """
        if len(tried) > self.trials or len(tried) != len(valid):
            raise UsageError(f"Expected at most {self.trials} trials with a score each, got {len(tried)}.")
        history = np.full((self.trials, 2), _NOBODY, float)
        history[: len(tried), 0], history[: len(tried), 1] = tried, valid
        return np.concatenate([seen, history.ravel(), [group, family]])

    def log_probs(self, meta: Differentiable, contexts: Array) -> Differentiable:
        kept, away, gaps, usable, off = self._read(np.asarray(contexts, float))
        x = self.n_seen
        metric, results, sharpness = anp.exp(meta[:x]), anp.exp(meta[x]), anp.exp(meta[x + 2])
        common = 1 / (1 + anp.exp(-meta[x + 1]))
        near = anp.where(usable, -(anp.dot(away, metric) + results * gaps), _OFF)  # (T, M)
        near = anp.exp(log_softmax(near)) * usable
        alike = usable / np.maximum(usable.sum(axis=1, keepdims=True), 1)
        weights = ((1 - common) * near + common * alike)[:, :, None] * self.memory.known  # (T, M, P)
        expected = anp.sum(weights * kept, axis=1) / (anp.sum(weights, axis=1) + 1e-12)
        return log_softmax(sharpness * expected + off)

    def _read(self, contexts: Array) -> tuple[Array, ...]:
        """Returns what states say that no meta-parameter changes; states that come again are not read again."""
        found = [self._codes.get(key := row.tobytes()) or self._remember(key, row) for row in contexts]
        tried, *others = zip(*found, strict=True)
        kept = [self.memory.kept(columns, self.least) for columns in tried]
        return tuple(np.stack(arrays) for arrays in (kept, *others))

    def _remember(self, key: bytes, row: Array) -> tuple[tuple[int, ...], Array, Array, Array, Array]:
        memory, x = self.memory, self.n_seen
        history, (group, family) = row[x:-2].reshape(self.trials, 2), row[-2:]
        history = history[history[:, 0] >= 0]
        tried = history[:, 0].astype(int)
        usable = (memory.groups == group) & (memory.families != family)
        gaps = self._gaps(tried, history[:, 1])
        off = np.where(memory.known[usable].any(axis=0), 0.0, _OFF)
        off[tried] = _OFF
        away = (row[:x] - memory.seen) ** 2
        found = tuple(tried.tolist()), away, gaps, usable, off
        _keep(self._codes, key, found, away.nbytes)
        return found

    def _gaps(self, tried: Array, valid: Array) -> Array:
        """Returns ``(M,)`` mean squared differences of remembered scores from those seen, over what both know."""
        known = self.memory.known[:, tried]
        then = np.maximum(self.memory.valid[:, tried], self.least)
        if self.has_scale:
            now = np.maximum(np.nan_to_num(valid, nan=-np.inf), self.least)
            apart = np.where(known, then - now, 0.0)
        else:
            known = known & np.isfinite(valid)
            apart = _unscaled(then, np.nan_to_num(valid), known)
        return np.asarray((apart**2).sum(axis=1) / np.maximum(known.sum(axis=1), 1))


def _unscaled(then: Array, now: Array, known: Array) -> Array:
    """Returns ``(M, n)`` what is left of remembered scores once those of now are moved and stretched to fit them."""
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    left, right = (np.where(known, x, 0.0) for x in (then, now))
    left, right = (np.where(known, x - x.sum(axis=1, keepdims=True) / count, 0.0) for x in (left, right))
    stretch = np.maximum((left * right).sum(axis=1, keepdims=True), 0.0)
    return np.asarray(left - right * stretch / np.maximum((right**2).sum(axis=1, keepdims=True), 1e-12))


def _keep(found: dict[K, V], key: K, value: V, n_bytes: int) -> None:
    """Keeps a value, and forgets all others if they take too much room."""
    if len(found) * n_bytes > _ROOM:
        found.clear()
    found[key] = value
