"""What a score is worth, whatever its metric: 0 for a constant prediction, 1 for a perfect one."""

import numpy as np
import pytest

from gstar.errors import DataError
from gstar.inputs import Table
from gstar.metric import TaskKind, get_metric
from gstar.task import Task
from gstar.worlds.rewards import RewardScale

RNG = np.random.default_rng(0)
SUPPORT, QUERY = np.arange(60), np.arange(60, 90)
TARGETS = {
    TaskKind.BINARY: RNG.permutation(np.arange(90) % 3 == 0).astype(float),
    TaskKind.MULTICLASS: RNG.permutation(np.arange(90) % 4).astype(float),
    TaskKind.REGRESSION: 50 + 7 * RNG.standard_normal(90),
}
METRICS = [
    (TaskKind.BINARY, "roc_auc"),
    (TaskKind.BINARY, "log_loss"),
    (TaskKind.BINARY, "accuracy"),
    (TaskKind.MULTICLASS, "log_loss"),
    (TaskKind.MULTICLASS, "balanced_accuracy"),
    (TaskKind.REGRESSION, "rmse"),
    (TaskKind.REGRESSION, "r2"),
    (TaskKind.REGRESSION, "mae"),
]


def _mixed(kind: TaskKind, share: float) -> np.ndarray:
    """Returns predictions for the query rows between a constant one (0) and the truth (1)."""
    target = TARGETS[kind]
    if kind is TaskKind.REGRESSION:
        return share * target[QUERY] + (1 - share) * target[SUPPORT].mean()
    classes = len(np.unique(target))
    shares = np.bincount(target[SUPPORT].astype(int), minlength=classes) / len(SUPPORT)
    return share * np.eye(classes)[target[QUERY].astype(int)] + (1 - share) * shares


@pytest.mark.parametrize(("kind", "name"), METRICS)
def test_unequal_metrics_have_one_scale(kind: TaskKind, name: str):
    target = TARGETS[kind]
    classes = tuple(np.unique(target)) if kind.is_classification else ()
    task = Task("toy", kind, get_metric(name, kind), Table.of(np.zeros((90, 1))), target, classes)
    scale = RewardScale.of_task(task, SUPPORT, QUERY)
    rewards = [float(scale.reward(task.metric.score(task.target[QUERY], _mixed(kind, s)))) for s in (0.0, 0.5, 1.0)]
    assert rewards[0] == pytest.approx(0.0, abs=1e-9)
    assert rewards[2] == pytest.approx(1.0)
    assert 0 < rewards[1] <= 1


def test_a_reward_is_linear_and_missing_stays_missing():
    rewards = RewardScale(zero=-4.0, one=-2.0).reward(np.array([-4.0, -3.0, -2.0, -8.0, np.nan]))
    assert rewards[:4].tolist() == [0.0, 0.5, 1.0, -2.0]
    assert np.isnan(rewards[4])


def test_a_task_on_which_nothing_can_be_won_is_refused():
    metric, truth = get_metric("rmse", TaskKind.REGRESSION), np.full(5, 3.0)
    with pytest.raises(DataError, match="to score a perfect prediction above a constant one on the query rows"):
        RewardScale.between(metric, truth, truth, truth)
