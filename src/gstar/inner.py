"""The inner loop: one strategy on one task, and what came of it.

`train` is all that runs inside a worker: it owns the clock, early stopping and the best
state so far, and leaves predictions and saved models in the job's folder. `run_inner`
gives it a process, and turns every end, good or bad, into a `Trial`.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from gstar import __version__
from gstar.control import get_controller
from gstar.errors import GstarError
from gstar.executors.limits import CrashedError, Limits, OutOfMemoryError, OutOfTimeError
from gstar.fitting import Fitting
from gstar.inputs import Inputs, from_arrays, to_arrays
from gstar.learner import AbstractLearner, Pace, State, TrainingSpec, get_learner, register_learner
from gstar.metric import METRICS, Metric, TaskKind
from gstar.parts import write_parts
from gstar.strategy import Strategy
from gstar.task import Task
from gstar.trial import Proposal, Status, Trial

Array: TypeAlias = np.ndarray
Folds: TypeAlias = Sequence[tuple[Array, Array]]


@dataclass(frozen=True)
class Job:
    """Is what a worker is told: where the data lies, what to do, what it may use.

    Args:
        data: Folder that `share` filled.
        output: Folder for predictions and saved models.
        strategy: The strategy as JSON.
        seed: Seed of everything random.
        budget_s: Seconds after which training should return what it has, or None.
        limits: Beyond which the process is killed.
        plugins: ``module:Class`` of learners that are not installed as entry points.
        preload: Modules that a process which forks workers should import before.
        initial: File of the weights to begin with, or empty; see `gstar.weights`.
    """

    data: str
    output: str
    strategy: Mapping[str, Any]
    seed: int
    budget_s: float | None = None
    limits: Limits = field(default_factory=Limits)
    plugins: tuple[str, ...] = ()
    preload: tuple[str, ...] = ()
    initial: str = ""


def share(task: Task, folds: Folds, folder: Path, *, query: Array | None = None) -> Path:
    """Writes a task and its folds where workers can map them into memory.

    Args:
        task: The task; texts are the only arrays that are not mapped but read.
        folds: Pairs of ``(train rows, validation rows)``.
        folder: An existing empty folder.
        query: Rows that are predicted at the end and used for nothing else, or None.

    Returns:
        The folder.
    """
    arrays: dict[str, Array | None] = {f"inputs.{name}": array for name, array in to_arrays(task.inputs).items()}
    arrays |= {"target": task.target, "weights": task.weights, "order": task.order, "groups": task.groups}
    arrays["query"] = query
    for i, (train_rows, valid_rows) in enumerate(folds):
        arrays |= {f"train.{i}": train_rows, f"valid.{i}": valid_rows}
    for name, array in arrays.items():
        if array is not None:
            plain = np.asarray(array).astype("U") if array.dtype == object else np.ascontiguousarray(array)
            np.save(folder / f"{name}.npy", plain, allow_pickle=False)
    about = {
        "kind": task.kind,
        "form": task.form,
        "n_classes": task.n_classes,
        "folds": len(folds),
        "loss": _stopping_metric(task).name,
    }
    (folder / "task.json").write_text(json.dumps(about), encoding="utf-8")
    return folder


def _stopping_metric(task: Task) -> Metric:
    """The loss that early stopping watches: smooth ones only, else that of the kind."""
    if task.metric is METRICS["mae"]:
        return task.metric
    return METRICS["log_loss" if task.kind.is_classification else "rmse"]


def _map(folder: Path, name: str) -> Array | None:
    path = folder / f"{name}.npy"
    if not path.exists():
        return None
    array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    return array.astype(object) if array.dtype.kind == "U" else array


def train(job: Job) -> dict[str, Any]:
    """Trains one strategy on every fold; runs inside the worker.

    Returns:
        ``steps``, ``seconds`` (of the clock), ``cpu_s`` (of the processor) and ``memory_mb`` as JSON
        values, and ``initial``: why the weights to begin with could not be used, empty if they were or there were
        none. Predictions on the validation rows lie in ``predictions.npy``, saved models in ``models/FOLD.PART``.

    Raises:
        OutOfTimeError: If the budget was over before every fold had a model.
    """
    start, start_cpu = time.monotonic(), time.process_time()
    for plugin in job.plugins:
        module, _, name = plugin.partition(":")
        register_learner(getattr(importlib.import_module(module), name)())
    output, shared = Path(job.output), Shared.read(Path(job.data))
    learner = get_learner(str(job.strategy["learner"]))
    initial, cause = _initial(job)
    predictions, query_predictions, steps = [], [], 0
    for i in range(shared.n_folds):
        deadline = _deadline(job, start, i, shared.n_folds)
        rows, spec = _spec(job, learner, shared, i, initial=initial)
        state, prediction = fit_one(
            learner,
            shared.inputs.take(rows),
            np.asarray(shared.target[rows]),
            spec,
            loss=shared.loss,
            deadline=deadline,
        )
        predictions.append(prediction)
        if shared.query is not None:
            query_predictions.append(learner.predict(state, shared.inputs.take(shared.query)))
        steps += state.steps
        write_parts(output, i, learner.save(state))
    np.save(output / "predictions.npy", np.concatenate(predictions), allow_pickle=False)
    if query_predictions:
        np.save(output / "query.npy", np.mean(query_predictions, axis=0), allow_pickle=False)
    return {
        "steps": steps,
        "seconds": time.monotonic() - start,
        "cpu_s": time.process_time() - start_cpu,
        "memory_mb": _peak_memory_mb(),
        "initial": cause,
    }


@dataclass(frozen=True, eq=False)
class Shared:
    """Is what `share` wrote, mapped into memory.

    Args:
        folder: Where it lies.
        kind: Kind of task.
        n_classes: C.
        n_folds: Number of folds.
        loss: Name of the metric that early stopping watches.
        inputs: All rows.
        target: Their targets.
        query: Rows that are predicted at the end and used for nothing else, or None.
    """

    folder: Path
    kind: TaskKind
    n_classes: int
    n_folds: int
    loss: str
    inputs: Inputs
    target: Array
    query: Array | None

    @staticmethod
    def read(folder: Path) -> Shared:
        """Reads the folder."""
        about = json.loads((folder / "task.json").read_text(encoding="utf-8"))
        names = ("numbers", "codes", "dates", "texts", "levels", "pixels", "steps", "lengths")
        arrays = {name: array for name in names if (array := _map(folder, f"inputs.{name}")) is not None}
        target, query = _map(folder, "target"), _map(folder, "query")
        assert target is not None
        inputs, kind = from_arrays(about["form"], arrays), TaskKind(about["kind"])
        return Shared(folder, kind, about["n_classes"], about["folds"], about["loss"], inputs, target, query)

    def fold(self, i: int) -> tuple[Array, Array]:
        """Returns the rows to train on and those to validate on."""
        train, valid = _map(self.folder, f"train.{i}"), _map(self.folder, f"valid.{i}")
        assert train is not None
        assert valid is not None
        return np.asarray(train), valid


def _deadline(job: Job, start: float, fold: int, n_folds: int) -> float | None:
    """Returns when the training of a fold should return what it has: what time is left is shared evenly."""
    if job.budget_s is None:
        return None
    now = time.monotonic()
    left_s = start + job.budget_s - now
    if fold > 0 and left_s <= 0:
        raise OutOfTimeError(f"{fold} of {n_folds} folds were trained in {job.budget_s:.1f} s")
    return now + left_s / (n_folds - fold)


def _spec(
    job: Job, learner: AbstractLearner, shared: Shared, fold: int, *, initial: Mapping[str, bytes] | None
) -> tuple[Array, TrainingSpec]:
    """Returns the rows of a fold that the strategy selects, and what else its learner is told."""
    strategy, (train_rows, valid_rows) = Strategy.from_json(job.strategy), shared.fold(fold)
    rows, weights = _selected(job, shared, train_rows)
    return rows, TrainingSpec(
        shared.kind,
        shared.n_classes,
        strategy.configuration,
        strategy.schedule,
        seed=job.seed + fold,
        threads=job.limits.threads,
        weights=weights,
        validation=(shared.inputs.take(valid_rows), np.asarray(shared.target[valid_rows])),
        pace=_pace(job, learner, shared, rows),
        initial=initial,
        frozen=strategy.init.get("body") == "frozen",
    )


def _initial(job: Job) -> tuple[dict[str, bytes] | None, str]:
    """Returns the weights to begin with, or none and why there are none although there should be."""
    from gstar.weights import read

    if not job.initial:
        return None, ""
    try:
        return read(Path(job.initial)), ""
    except (GstarError, OSError) as error:
        return None, str(error)


def _selected(job: Job, shared: Shared, rows: Array) -> tuple[Array, Array | None]:
    """Returns the rows to train on and their weights: the user's times the selection's."""
    from gstar.selection import select_rows

    side = {name: _map(shared.folder, name) for name in ("order", "groups", "weights")}
    order, groups, own = (None if a is None else np.asarray(a[rows]) for a in side.values())
    chosen, weights = select_rows(
        job.strategy["selection"],
        shared.inputs.take(rows),
        np.asarray(shared.target[rows]),
        kind=shared.kind,
        n_classes=shared.n_classes,
        order=order,
        groups=groups,
        seed=job.seed,
    )
    if own is not None:
        weights = own[chosen] if weights is None else own[chosen] * weights
    return rows[chosen], weights


def _pace(job: Job, learner: AbstractLearner, shared: Shared, rows: Array) -> Pace:
    """Returns in which order the rows are shown, with their difficulty where that decides."""
    from gstar.selection import difficulty

    selection = job.strategy["selection"]
    what = selection.get("pace", "shuffled")
    if not learner.handles_pace or what == "shuffled":
        return Pace()
    if what == "small_loss":
        return Pace(what, float(selection["drop_share"]))
    groups = _map(shared.folder, "groups")
    groups = None if groups is None else np.asarray(groups[rows])
    inputs, target = shared.inputs.take(rows), np.asarray(shared.target[rows])
    return Pace(what, 0.0, difficulty(inputs, target, kind=shared.kind, groups=groups, seed=job.seed))


def fit_one(
    learner: AbstractLearner,
    inputs: Inputs,
    target: Array,
    spec: TrainingSpec,
    *,
    loss: str,
    deadline: float | None,
) -> tuple[State, Array]:
    """Trains one model, under the control that its schedule names, and keeps what was best on the validation rows.

    Returns:
        The best state, and its predictions on the validation rows.

    Raises:
        FloatingPointError: If predictions are not finite.
    """
    controller = get_controller(str(spec.schedule.get("control") or "none")) if learner.handles_control else None
    fitting = Fitting.start(learner, inputs, target, spec, loss=loss, deadline=deadline)
    while not fitting.ended:
        fitting.look()
        if controller is not None and fitting.is_due:
            fitting.decide(controller.decide(fitting.observe())[0])
    assert fitting.best is not None
    return fitting.best.state, fitting.best.prediction


def _peak_memory_mb() -> float:
    try:
        import resource
    except ImportError:
        return 0.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@dataclass(frozen=True, eq=False)
class Started:
    """Is a trial on its way: its future, and what is known of it before it ends."""

    future: Future[dict[str, Any]]
    proposal: Proposal
    job: Job
    number: int
    since: float

    @property
    def at_most_s(self) -> float:
        """Seconds since it was handed over, but no more than it may take: it may have had to wait for its turn."""
        elapsed_s = time.monotonic() - self.since
        return elapsed_s if self.job.limits.time_s is None else min(elapsed_s, self.job.limits.time_s)


def start_inner(
    executor: Executor,
    data: Path,
    output: Path,
    proposal: Proposal,
    *,
    number: int,
    seed: int,
    budget_s: float | None,
    limits: Limits,
    plugins: tuple[str, ...] = (),
    initial: Path | None = None,
) -> Started:
    """Starts one trial without waiting for it; `end_inner` makes the `Trial`."""
    folder = output / f"{number:05d}"
    folder.mkdir(parents=True)
    preload = _preload(proposal.strategy.learner)
    job = Job(
        str(data),
        str(folder),
        proposal.strategy.to_json(),
        seed,
        budget_s,
        limits,
        plugins,
        preload,
        "" if initial is None else str(initial),
    )
    since = time.monotonic()
    return Started(executor.submit(train, job), proposal, job, number, since)


def _preload(learner: str) -> tuple[str, ...]:
    """Returns what a learner is slow to import; a learner that is not there fails in its worker."""
    try:
        return get_learner(learner).preload
    except GstarError:
        return ()


def end_inner(
    started: Started,
    task: Task,
    valid_target: Array,
    *,
    folds: int,
    valid_weights: Array | None = None,
    query_target: Array | None = None,
    run: str = "",
) -> Trial:
    """Waits for a trial and says what came of it. Never raises for a training that failed.

    A trial that should have begun with other weights and could not is one of the strategy from scratch.

    Args:
        started: What `start_inner` returned.
        task: The task.
        valid_target: ``(V,)`` targets of the validation rows of all folds, in their order.
        folds: Number of folds.
        valid_weights: ``(V,)`` weights of those rows, or None.
        query_target: ``(Q,)`` targets of the query rows, if some were shared.
        run: Identifier of the run.
    """
    status, error, score, predictions, result = Status.COMPLETED, "", None, None, {}
    proposal, no_initial = started.proposal, ""
    query_score = None
    try:
        result = started.future.result()
        predictions = np.load(Path(started.job.output) / "predictions.npy", allow_pickle=False)
        score = task.metric.score(valid_target, predictions, valid_weights)
        if query_target is not None:
            on_query = np.load(Path(started.job.output) / "query.npy", allow_pickle=False)
            query_score = task.metric.score(query_target, on_query)
        no_initial = str(result.get("initial", ""))
        if not np.isfinite(score):
            status, error, score = Status.FAILED, f"{task.metric.name} is not defined on these predictions", None
    except OutOfTimeError as cause:
        status, error = Status.OUT_OF_TIME, str(cause)
    except (OutOfMemoryError, MemoryError) as cause:
        status, error = Status.OUT_OF_MEMORY, str(cause)
    except CrashedError as cause:
        status, error = Status.CRASHED, str(cause)
    except Exception as cause:
        status, error = Status.FAILED, str(cause) or repr(cause)
    if proposal.strategy.init and (no_initial or not started.job.initial):
        proposal = replace(proposal, strategy=replace(proposal.strategy, init={}))
    return Trial(
        proposal,
        task.fingerprint,
        status,
        fidelity_name(folds),
        started.job.seed,
        task.metric.name,
        score=score,
        query_score=query_score,
        cost_s=float(result.get("seconds", started.at_most_s)),
        cost_steps=int(result.get("steps", 0)),
        memory_mb=float(result.get("memory_mb", 0.0)),
        error=error,
        number=started.number,
        run=run,
        versions=_versions(started.proposal.strategy.learner),
        predictions=predictions if score is not None else None,
        extra={
            "folder": started.job.output,
            "cpu_s": float(result.get("cpu_s", 0.0)),
            "initial": started.job.initial,
            "no_initial": no_initial,
        },
    )


def run_inner(
    task: Task,
    strategy: Strategy,
    *,
    folds: Folds,
    folder: Path,
    executor: Executor,
    seed: int = 0,
    budget_s: float | None = None,
    limits: Limits | None = None,
    initial: Path | None = None,
) -> Trial:
    """Tries one strategy on one task and returns what came of it.

    Args:
        task: The task.
        strategy: How to learn it.
        folds: Pairs of ``(train rows, validation rows)``; see `gstar.validation`.
        folder: An existing empty folder for the shared data and for what the trial leaves.
        executor: Where it runs.
        seed: Seed of everything random in it.
        budget_s: Seconds after which training should return what it has, or None.
        limits: Beyond which a process executor kills it.
        initial: File of the weights to begin with, for a strategy that does.
    """
    data = folder / "data"
    data.mkdir()
    share(task, folds, data)
    proposal = Proposal(strategy, 0.0, "given")
    started = start_inner(
        executor,
        data,
        folder / "trials",
        proposal,
        number=0,
        seed=seed,
        budget_s=budget_s,
        limits=limits or Limits(),
        initial=initial,
    )
    valid_target = np.concatenate([task.target[valid] for _, valid in folds])
    return end_inner(started, task, valid_target, folds=len(folds))


def fidelity_name(folds: int) -> str:
    """Returns ``"holdout"`` or ``"5-fold"`` and the like."""
    return "holdout" if folds == 1 else f"{folds}-fold"


_LIBRARIES: Final = {
    "lightgbm": "lightgbm",
    "xgboost": "xgboost-cpu",
    "catboost": "catboost",
    "mlp": "torch",
    "cnn": "torch",
    "rnn": "torch",
    "rocket": "numpy",
}


@cache
def _versions(learner: str) -> Mapping[str, str]:
    library = _LIBRARIES.get(learner, "scikit-learn")
    found = {"gstar": __version__}
    with contextlib.suppress(PackageNotFoundError):
        found[library] = version(library)
    return found
