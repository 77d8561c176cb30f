"""Lets g learn on a person's own tasks: which learner, configuration, schedule and rows suit which task.

    tasks -> LiveWorld -> run_outer -> Learned (a file that `gstar fit --policy gradient:FILE` reads)

Every trial is remembered. A meta-training that was stopped goes on where it stood.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from gstar import __version__
from gstar.contexts import NAMES
from gstar.distribution import TreeDistribution
from gstar.distribution.heads import CategoricalHead
from gstar.errors import DataError, GstarError, StorageError
from gstar.executors import Limits, ProcessExecutor
from gstar.experience import Experience
from gstar.families import Family
from gstar.gradients import get_gradient
from gstar.learned import Learned
from gstar.learner import AbstractLearner, get_learner, register_learner
from gstar.machine import cores
from gstar.metafeatures import compute
from gstar.outer import Convergence, OuterResult, OuterSettings, Progress, run_outer
from gstar.policies.gradient import GradientPolicy
from gstar.space import Categorical, Space
from gstar.strategy import with_init
from gstar.trace import Trace, checkpoint_of, trace_line
from gstar.trial import Trial
from gstar.weights import Relatives, Source, Weights, WeightsWarning
from gstar.worlds.live import LiveTask, LiveWorld

Array: TypeAlias = np.ndarray

UNFIT: Final = -8.0
"""Logit, at the start, of a learner on a task that it does not take."""


def meta_train(
    families: Sequence[Family],
    space: Space,
    *,
    out: Path,
    budget_s: float | None = None,
    trial_s: float = 20.0,
    settings: OuterSettings | None = None,
    hidden: int = 0,
    learners: Sequence[AbstractLearner] = (),
    experience: Experience | None = None,
    weights: Weights | None = None,
    workers: int | None = None,
    listener: Callable[[Progress], None] = lambda _: None,
) -> Learned:
    """Lets g learn by the policy gradient, with models that are trained now.

    The same call goes on where it stood. A full disk ends it only at its end; a `CheckpointWarning` comes before.
    Whatever the number of workers, the result is the same
    bit for bit, unless a budget or the time of a trial cuts it short.

    Args:
        families: The tasks.
        space: The strategies.
        out: Where g goes; beside it lie a checkpoint, and a line for each iteration in ``OUT.trace.jsonl``.
        budget_s: Seconds of this call, or None: until it has converged, or made all iterations.
        trial_s: Seconds after which a trial is killed; it is then worth as little as a failed one.
        settings: How g learns; None: defaults for live trials.
        hidden: Width of the network that reads the context; 0: linear.
        learners: Those in the space that are not installed, but objects of a person's own module.
        experience: Where trials are kept, or None.
        weights: Networks that are remembered, which others may begin with: g then chooses among scratch, fine-tuned
            and frozen for each learner of which some are. Those that tasks begin with are chosen at the start, the most
            similar one of another family for each task and learner. The networks that are trained are not kept.
        workers: Trainings side by side; None: one per core.
        listener: Is told how it goes on.

    Raises:
        NoModelError: If every trial of several iterations failed.
        UsageError, UntrustedFileError: If the checkpoint is of another meta-training, or damaged; other weights make
            it another one.
        DataError: If a task cannot be split, or its metric cannot tell a perfect prediction from a constant one.
    """
    settings = replace(settings or default_settings(), budget_s=budget_s)
    for learner in learners:
        register_learner(learner)
    live = [_live(family, trial_s, settings.seed) for family in families]
    live = _with_sources(live, space, weights, experience)
    space = with_init(space, frozenset(s.learner for task in live for s in task.sources.strategies()))
    g = TreeDistribution(space, context_size=len(NAMES), hidden=hidden)
    key = _key(live, space, trial_s)
    plugins = tuple(f"{type(learner).__module__}:{type(learner).__qualname__}" for learner in learners)
    with (
        _executor(workers) as executor,
        _Remembering(experience, families, settings) as remember,
        LiveWorld(live, executor, Limits(time_s=trial_s), remember=remember, plugins=plugins, version=key) as world,
    ):
        result = run_outer(
            g,
            world,
            settings,
            start=informed_start(g, settings.seed),
            checkpoint=checkpoint_of(out),
            key=key,
            listener=_tracing(Trace(out), g, live, listener),
        )
    learned = Learned(g, result.meta, _about(result, live, settings))
    learned.save(out)
    if experience is not None:
        _record(experience, f"{key}-{result.iterations}", learned, live)
    return learned


@contextlib.contextmanager
def _executor(workers: int | None) -> Iterator[ProcessExecutor]:
    """Yields processes for trials; those that run at the end are killed."""
    executor = ProcessExecutor(workers or cores())
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)


def _tracing(
    trace: Trace, g: TreeDistribution, live: Sequence[LiveTask], listener: Callable[[Progress], None]
) -> Callable[[Progress], None]:
    """Returns a listener that adds a line to the trace before another is told."""

    def listen(progress: Progress) -> None:
        with contextlib.suppress(StorageError):  # the checkpoint beside it says so
            trace.append(trace_line(progress, g, live))
        listener(progress)

    return listen


def _about(result: OuterResult, live: Sequence[LiveTask], settings: OuterSettings) -> dict[str, Any]:
    """Returns what a g says of where it comes from."""
    return {
        "tasks": len(live),
        "families": sorted({task.family for task in live}),
        "tasks_with_weights": sum(bool(task.sources.found) for task in live),
        "iterations": result.iterations,
        "trials": result.n_trainings,
        "failed": result.n_failed,
        "stop_reason": result.stop_reason,
        "estimator": settings.estimator,
        "seed": settings.seed,
        "gstar": __version__,
    }


def _with_sources(
    live: Sequence[LiveTask], space: Space, weights: Weights | None, experience: Experience | None
) -> list[LiveTask]:
    """Returns the tasks, each with the most similar network of each learner that is remembered of another family.

    Query rows are not looked at, except to find weights that have seen them.
    """
    if weights is None or not (able := _beginners(space)):
        return list(live)
    kin = {family: _relatives(family, live, experience) for family in dict.fromkeys(task.family for task in live)}
    found = []
    for task in live:
        sources = weights.sources(task.task.take(task.support), able, relatives=kin[task.family]).nearest()
        found.append(replace(task, sources=sources))
    for source in _sources_of(found):
        weights.used(source)
    if not _sources_of(found):
        warnings.warn(
            "No weights are remembered that one of these tasks could begin with, so all networks begin from scratch; "
            "`gstar fit DATA --weights on` keeps some.",
            WeightsWarning,
            stacklevel=3,
        )
    return found


def _beginners(space: Space) -> dict[str, AbstractLearner]:
    """Returns the learners of a space that can begin with the weights of another model."""
    root = space.parameters.get("learner")
    names = [str(name) for name in root.choices] if isinstance(root, Categorical) else []
    return {name: learner for name in names if (learner := get_learner(name)).handles_initial}


def _relatives(family: str, live: Sequence[LiveTask], experience: Experience | None) -> Relatives:
    """Returns what tasks of a family must not begin with: weights of any task of it, here or in experience."""
    tasks = [task.task for task in live if task.family == family]
    known = [] if experience is None else [experience.records(t.kind, t.metric.name) for t in tasks]
    remembered = {task for r in known for task, of in zip(r.tasks, r.families, strict=True) if of == family}
    return Relatives.of(tasks, names=(family, *(task.name for task in tasks)), fingerprints=remembered)


def _sources_of(live: Sequence[LiveTask]) -> list[Source]:
    """Returns the networks that some task begins with, each once."""
    return list({source.hash: source for task in live for _, source in task.sources.found}.values())


def _record(experience: Experience, version: str, learned: Learned, live: Sequence[LiveTask]) -> None:
    """Keeps g among the policies of the experience, unless the same call has done so before.

    The tasks stand in the evidence, so that a task that is forgotten is taken out of it; so do those whose weights
    others began with.
    """
    if not any(policy.version == version for policy in experience.policies(GradientPolicy.name)):
        begun = sorted(set().union(*(source.tasks for source in _sources_of(live))))
        evidence = {**learned.about, "fingerprints": [*(task.task.fingerprint for task in live), *begun]}
        experience.add_policy(GradientPolicy.name, version, {"meta": learned.meta}, evidence)


def informed_start(g: TreeDistribution, seed: int) -> Array:
    """Returns ``(W,)`` meta-parameters under which no learner is drawn for tasks that it does not take.

    Everything else is as broad as at any other start. Only a map that is linear in the context can
    say so from the beginning; a network has to learn it.
    """
    meta = g.start(np.random.default_rng(seed))
    head = g.heads.get("learner")
    if g.hidden or not g.context_size or not isinstance(head, CategoricalHead):
        return meta
    raw_size = len(meta) // (1 + g.context_size)
    weights = meta[raw_size:].reshape(g.context_size, raw_size)
    first = g.slices["learner"].start
    for place, name in enumerate(head.parameter.choices):
        taken = _taken_by(str(name))
        for i, seen in enumerate(NAMES):
            if seen.startswith("is_") and seen not in taken:
                weights[i, first + place] = UNFIT
    return meta


def _taken_by(learner: str) -> set[str]:
    """Returns which of the context's ``is_...`` a learner takes; all, if it is not installed here."""
    try:
        found = get_learner(learner)
    except GstarError:
        return set(NAMES)
    return {f"is_{form}" for form in found.forms} | {f"is_{kind}" for kind in found.kinds}


def _live(family: Family, trial_s: float, seed: int) -> LiveTask:
    try:
        return LiveTask.of(family.task, family=family.family, seconds=trial_s, seed=seed)
    except DataError as error:
        raise DataError(f"{family.task.name} cannot be learned from: {error}") from error


def _key(live: Sequence[LiveTask], space: Space, trial_s: float) -> str:
    """Names what must be the same for a meta-training to go on: also the weights that each task begins with."""
    parts: list[Any] = [[task.task.fingerprint for task in live], space.to_json(), trial_s, list(NAMES)]
    if any(task.sources.found for task in live):
        parts.append([[source.hash for _, source in task.sources.found] for task in live])
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def default_settings(seed: int = 0, *, iterations: int = 100_000, estimator: str = "leave_one_out") -> OuterSettings:
    """Returns how g learns from live trials.

    They are few and dear, so each is used three times if the estimator can; and the next iteration is begun before one
    is over, so that all cores train.
    """
    handles_reuse = get_gradient(estimator).handles_reuse
    return OuterSettings(
        estimator,
        tasks=8,
        strategies=4,
        rate=0.02,
        entropy=0.01,
        reuse=2 if handles_reuse else 0,
        ahead=1 if handles_reuse else 0,
        iterations=iterations,
        seed=seed,
        convergence=Convergence(window=30),
    )


class _Remembering:
    """Keeps trials in experience, each in the run of its task; it is entered before and left after."""

    def __init__(self, experience: Experience | None, families: Sequence[Family], settings: OuterSettings) -> None:
        self.experience = experience
        self.tasks = {family.task.fingerprint: family for family in families}
        self.settings = {"meta_train": settings.estimator, "seed": settings.seed}
        self.runs: dict[str, str] = {}
        self.counts: Counter[str] = Counter()
        self.began = time.monotonic()

    def __call__(self, trials: Sequence[Trial]) -> None:
        if self.experience is None:
            return
        for task in dict.fromkeys(trial.task for trial in trials if trial.task not in self.runs):
            family = self.tasks[task]
            self.experience.add_task(family.task, compute(family.task), family=family.family)
            self.runs[task] = self.experience.start_run(task, self.settings)
        kept = []
        for trial in trials:
            kept.append(replace(trial, run=self.runs[trial.task], number=self.counts[trial.task]))
            self.counts[trial.task] += 1
        self.experience.append(kept)

    def __enter__(self) -> _Remembering:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self.experience is None:
            return
        status, seconds = "failed" if kind else "completed", time.monotonic() - self.began
        for task, run in self.runs.items():
            summary = {"trials": self.counts[task]}
            self.experience.finish_run(run, status=status, score=None, seconds=seconds, summary=summary)
