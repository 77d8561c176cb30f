"""What a search tried, as frames, lines and HTML."""

from __future__ import annotations

import html
import reprlib
from typing import TYPE_CHECKING, Any

import pandas as pd

from gstar.metric import METRICS
from gstar.search import SearchResult
from gstar.trial import Trial

if TYPE_CHECKING:
    from gstar.estimators.base import AbstractGstar


def _published(trial: Trial) -> float | None:
    """Returns the score as users know it, for example rmse >= 0."""
    metric = METRICS.get(trial.metric)
    return trial.score if metric is None or trial.score is None else metric.published(trial.score)


def leaderboard_of(result: SearchResult) -> pd.DataFrame:
    """Returns one row per completed trial, best first."""
    done = sorted((t for t in result.trials if t.completed), key=lambda t: -(t.score or 0.0))
    return pd.DataFrame(
        {
            "learner": [t.strategy.learner for t in done],
            "metric": [t.metric for t in done],
            "score": [_published(t) for t in done],
            "seconds": [t.cost_s for t in done],
            "weight": [result.weights.get(t.number, 0.0) for t in done],
            "validated": [t.fidelity for t in done],
            "strategy": [t.strategy.describe() for t in done],
            "number": [t.number for t in done],
        },
        index=pd.RangeIndex(1, len(done) + 1, name="rank"),
    )


def failures_of(result: SearchResult) -> pd.DataFrame:
    """Returns one row per trial that did not complete."""
    failed = [t for t in result.trials if not t.completed]
    return pd.DataFrame(
        {
            "learner": [t.strategy.learner for t in failed],
            "status": [str(t.status) for t in failed],
            "cause": [t.error for t in failed],
            "seconds": [t.cost_s for t in failed],
            "memory_mb": [t.memory_mb for t in failed],
            "strategy": [t.strategy.describe() for t in failed],
        }
    )


def why_of(result: SearchResult) -> list[str]:
    """Returns one line per model of the ensemble, heaviest first, then why the search ended, then its notes."""
    chosen = sorted((t for t in result.trials if t.number in result.weights), key=lambda t: -result.weights[t.number])
    lines = [f"{result.weights[t.number]:.0%} {t.strategy.describe()}: {t.proposal.why}" for t in chosen]
    return [*lines, f"The search ended: {result.stop_reason}.", *result.notes]


def html_of(estimator: AbstractGstar) -> str:
    """Returns a page for notebooks: parameters, and, once fitted, the ensemble and what failed."""
    changed = ", ".join(f"{k}={reprlib.repr(v)}" for k, v in estimator.get_params(deep=False).items() if v is not None)
    head = f"<b>{type(estimator).__name__}</b>({html.escape(changed)})"
    if not hasattr(estimator, "model_"):
        return f"<div>{head}<br>not fitted yet</div>"
    result = estimator.result_
    board = leaderboard_of(result)
    board = board[board["weight"] > 0].drop(columns="number")
    parts = [
        f"<div>{head}",
        f"<br>{len(result.trials)} trials in {result.seconds:.1f} s; ended: {html.escape(result.stop_reason)}.",
        _table(board),
    ]
    failed = failures_of(result)
    if len(failed):
        parts.append(f"<details><summary>{len(failed)} failed</summary>{_table(failed)}</details>")
    return "".join([*parts, "</div>"])


def _table(frame: pd.DataFrame) -> str:
    """Returns a frame as HTML with every cell escaped."""
    shown: Any = frame.to_html(index=False, escape=True, float_format=lambda v: f"{v:.4g}", max_rows=20, border=0)
    return str(shown)
