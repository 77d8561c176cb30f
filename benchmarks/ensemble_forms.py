"""How to combine models of images and sequences, where the best one may be far ahead: the methods of `ensemble.py`.

    OMP_NUM_THREADS=1 python benchmarks/ensemble_forms.py DATA [--workers 2]

On each task as it is of `meta_conditions.py` (at most 180 rows to train on, 15 to 60 to choose on, 400 to measure on),
what a search tries first: the learners of places, and the built-in portfolio of the form. At most two models of a
learner, as in a search. A reward of 0 is a constant prediction, 1 a perfect one. Predictions are kept in
benchmarks/work, so that a second run takes seconds.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
from ensemble import METHODS
from meta_conditions import read_live
from meta_table import interval
from pool import spread

from gstar.combining import PER_LEARNER
from gstar.inner import fit_one
from gstar.learner import TrainingSpec, get_learner
from gstar.metric import METRICS
from gstar.policies.candidates import BUILT_IN, make_strategy
from gstar.worlds.live import LiveTask

WORK = Path(__file__).parent / "work" / "ensemble_forms"
PLACES = (("flat_linear", {}), ("flat_linear", {"strength": 1.0}), ("flat_lightgbm", {}), ("flat_mlp", {}))
CHOSEN = ("best single", "mean of best 3", "mean of best 5", "greedy", "gstar")
BUDGET_S = 3600.0


def predict(live: LiveTask) -> None:
    """Trains the models of a task, and keeps what they predict on its validation rows and its query rows."""
    file, task = WORK / f"{live.task.name}.npz", live.task
    if file.exists():
        return
    (train, valid), query = live.folds[0], live.query
    names, on_valid, on_query = [], [], []
    for name, changes in (*PLACES, *BUILT_IN):
        learner = get_learner(name)
        if task.form not in learner.forms:
            continue
        strategy = make_strategy(name, learner, changes)
        validation = (task.inputs.take(valid), task.target[valid])
        configuration, schedule = strategy.configuration, strategy.schedule
        spec = TrainingSpec(task.kind, task.n_classes, configuration, schedule, validation=validation)
        loss = "log_loss" if task.n_classes else "rmse"
        state, prediction = fit_one(
            learner, task.inputs.take(train), task.target[train], spec, loss=loss, deadline=None
        )
        names.append(name)
        on_valid.append(prediction)
        on_query.append(learner.predict(state, task.inputs.take(query)))
    np.savez(file, names=np.array(names), valid=np.array(on_valid), query=np.array(on_query))


def rewards(live: LiveTask) -> list[float]:
    """Returns what each method is worth on the query rows."""
    found, target = np.load(WORK / f"{live.task.name}.npz"), live.task.target
    metric = METRICS[live.task.metric.name]
    valid_target, query_target = target[live.folds[0][1]], target[live.query]
    order = np.argsort([-metric.score(valid_target, p) for p in found["valid"]], kind="stable")
    seen: Counter[str] = Counter()
    kept = []
    for i in order:
        seen[str(found["names"][i])] += 1
        if seen[str(found["names"][i])] <= PER_LEARNER:
            kept.append(i)
    reached = []
    for method in CHOSEN:
        weights = METHODS[method](found["valid"][kept], valid_target, metric, 0)
        blend = np.tensordot(weights, found["query"][kept], axes=1)
        reached.append(float(live.scale.reward(np.array(metric.score(query_target, blend)))))
    return reached


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    tasks = [live for live in read_live(given.data, ("images", "sequences")) if "-plain-" in live.task.name]
    for _ in spread(predict, tasks, given.workers, BUDGET_S):
        pass
    table, rng = np.array([rewards(live) for live in tasks]), np.random.default_rng(0)
    losses = np.log(np.maximum(1 - table, 1e-3))
    print(f"{len(tasks)} tasks: reward; loss against that of the best single model, geometric mean")
    for j, method in enumerate(CHOSEN):
        print(f"{method:16s} {interval(table[:, j], rng)}  {np.exp(np.mean(losses[:, j] - losses[:, 0])):.2f}")


if __name__ == "__main__":
    main()
