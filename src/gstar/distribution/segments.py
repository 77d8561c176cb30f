"""Arrays whose columns belong to one head after another: sums, softmax and expectations of each, in one go.

All functions are differentiable by `autograd`, any number of times; `counts` are the ``(H,)`` numbers of columns.
"""

from __future__ import annotations

from typing import TypeAlias

import autograd.numpy as anp
import numpy as np
from autograd.extend import defvjp, primitive

from gstar.distribution.truncated import Differentiable, Powers

Array: TypeAlias = np.ndarray


@primitive  # type: ignore[untyped-decorator]
def sums(values: Array, counts: Array) -> Array:
    """Returns ``(T, H)`` sums of ``(T, V)`` values over the columns of each head."""
    return np.asarray(np.add.reduceat(values, firsts(counts), axis=1))


@primitive  # type: ignore[untyped-decorator]
def spread(values: Array, counts: Array) -> Array:
    """Returns ``(T, V)``: each of ``(T, H)`` values in all columns of its head."""
    return np.repeat(values, counts, axis=1)


@primitive  # type: ignore[untyped-decorator]
def log_shares(logits: Array, counts: Array) -> Array:
    """Returns ``(T, V)`` log-probabilities in proportion to exp(logits), 1 in all for each head."""
    shifted = logits - np.repeat(np.maximum.reduceat(logits, firsts(counts), axis=1), counts, axis=1)
    totals = np.add.reduceat(np.exp(shifted), firsts(counts), axis=1)
    return np.asarray(shifted - np.repeat(np.log(totals), counts, axis=1))


@primitive  # type: ignore[untyped-decorator]
def sum_by(values: Array, rows: Array, n: int) -> Array:
    """Returns ``(n,)`` sums of the values that belong to each row, in any order."""
    return np.bincount(rows, values, n)


defvjp(sums, lambda ans, values, counts: lambda g: spread(g, counts), argnums=(0,))
defvjp(spread, lambda ans, values, counts: lambda g: sums(g, counts), argnums=(0,))
defvjp(
    log_shares,
    lambda ans, logits, counts: lambda g: g - anp.exp(ans) * spread(sums(g, counts), counts),
    argnums=(0,),
)
defvjp(sum_by, lambda ans, values, rows, n: lambda g: g[rows], argnums=(0,))


def mean_log_ratio(
    logs: Differentiable,
    others: Differentiable | None,
    counts: Array,
    powers: Powers,
    weights: Array | float = 1.0,
) -> Differentiable:
    """Returns ``(T, H)`` E_p log(p^a / q^b), given ``(T, V)`` log p and log q; None: q = 1.

    Each column stands for as many alike as its weight says.
    """
    ratios = powers[0] * logs if others is None else powers[0] * logs - powers[1] * others
    return sums(anp.exp(logs) * ratios * weights, counts)


def firsts(counts: Array) -> Array:
    """Returns ``(H,)`` the first column of each head."""
    return np.asarray(np.cumsum(counts) - counts)
