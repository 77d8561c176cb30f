"""The main job: within a budget, try what the policy asks for, and combine what was good.

    baseline -> (policy.ask -> inner training -> Trial -> experience) repeated -> ensemble -> Model

With a budget in seconds, a new trial starts as soon as a worker is free. With a budget in
trials, proposals are made in generations of fixed size that do not depend on the number of
workers or on the clock, so that the result repeats bit for bit.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Executor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import psutil

from gstar.budget import Budget, fold_plan
from gstar.combining import combine, worth_combining
from gstar.errors import NoModelError, UsageError
from gstar.events import Event, Listener
from gstar.executors import Limits, ProcessExecutor, SerialExecutor
from gstar.experience import Experience
from gstar.inner import Folds, Started, end_inner, fidelity_name, share, start_inner
from gstar.journal import Journal
from gstar.learner import AbstractLearner, available_learners, register_learner
from gstar.machine import cores, memory_limit_mb
from gstar.metafeatures import compute
from gstar.metric import METRICS, Metric
from gstar.model import Member, Model
from gstar.parts import read_parts
from gstar.policies import get_policy
from gstar.policy import AbstractPolicy, Context
from gstar.runfolder import run_folder
from gstar.strategy import Strategy
from gstar.task import Task
from gstar.trial import Proposal, Trial
from gstar.validation import plan_folds
from gstar.weights import Sources

Array: TypeAlias = np.ndarray

GENERATION: Final = 4
"""Proposals that are made together when the budget is a number of trials."""
TRIAL_LIMIT_S: Final = 600.0
"""Kills a trial when nothing else bounds it."""
PERFECT_MODELS: Final = 5
"""So many models without a fault are enough to combine."""
PREFERRED: Final = ("linear", "extra_trees", "neighbors", "constant")
"""Learners for the opening trial, the first one that is there: cheap, and worth keeping."""


@dataclass(frozen=True, eq=False)
class SearchResult:
    """Is what a search leaves.

    Args:
        model: The ensemble, ready to predict.
        task: Fingerprint of the task.
        trials: All trials in the order they were started.
        weights: Trial number to its weight in the ensemble.
        score: Validation score of the ensemble, higher is better.
        metric: What models were chosen by: the task's, or log_loss where that is not defined.
        stop_reason: Why the search ended, for the user.
        seconds: Wall-clock seconds since the budget began to count.
        run: Identifier of the run in experience.
        interrupted: Whether the user stopped it.
        notes: What the user should know, one sentence each.
    """

    model: Model
    task: str
    trials: tuple[Trial, ...]
    weights: Mapping[int, float]
    score: float
    metric: Metric
    stop_reason: str
    seconds: float
    run: str
    interrupted: bool
    notes: tuple[str, ...] = ()


def search(
    task: Task,
    *,
    budget_s: float | None = 60.0,
    trials: int | None = None,
    policy: str | AbstractPolicy = "gaussian",
    experience: Experience | None = None,
    seed: int = 0,
    workers: int | None = None,
    memory_mb: float | None = None,
    learners: Sequence[str | AbstractLearner] | None = None,
    folds: Folds | None = None,
    listener: Listener | None = None,
    started: float | None = None,
) -> SearchResult:
    """Finds a good model for a task within a budget.

    Args:
        task: What to learn.
        budget_s: Wall-clock seconds for everything, or None if `trials` is the budget.
        trials: How many strategies to try, the baseline not counted, or None.
        policy: Name of a policy, or one.
        experience: What is remembered; None: the shipped part only, nothing is kept.
        seed: Seed of everything random.
        workers: Trials side by side; None: one per core; 0: in this very process.
        memory_mb: For one trial; None: an even share of what the machine has.
        learners: Names of the learners that may be used, or learners; None: all.
        folds: Pairs of ``(train rows, validation rows)``; None: chosen by size and budget.
        listener: Is told how it goes on.
        started: Time by `time.monotonic` from which the budget counts; None: now.

    Raises:
        UsageError: If there is no budget, or no learner fits.
        NoModelError: If not even the baseline could be trained.
    """
    begin = time.monotonic() if started is None else started
    if budget_s is None and trials is None:
        raise UsageError("Expected a budget in seconds or in trials, got neither.")
    if (budget_s is not None and not budget_s > 0) or (trials is not None and trials < 1):
        raise UsageError(f"Expected a positive budget, got {budget_s=}, {trials=}.")
    budget = Budget(begin, budget_s, trials)
    usable, plugins = _usable_learners(task, learners)
    experience = experience if experience is not None else Experience.open(mode="off")
    with run_folder() as folder, _executor(workers) as (executor, n_workers):
        repeats = 1
        if folds is None:
            plan = fold_plan(task, budget, usable, max(1, n_workers))
            folds = plan_folds(task, folds=plan.folds, fraction=plan.fraction, seed=seed, repeats=plan.repeats)
            repeats = plan.repeats
        (folder / "data").mkdir()
        task = _with_metric_that_is_defined(task, folds, seed)
        desk = _Desk(
            task,
            folds,
            repeats,
            share(task, folds, folder / "data"),
            folder / "trials",
            executor,
            SerialExecutor(),
            budget,
            Limits(None, memory_mb or _fair_memory_mb(n_workers)) if n_workers else Limits(),
            n_workers,
            usable,
            plugins,
            experience,
            seed,
            listener,
        )
        return desk.run(policy)


@dataclass(eq=False)
class _Desk:
    """Holds what a search knows while it runs."""

    task: Task
    folds: Folds
    repeats: int
    data: Path
    output: Path
    executor: Executor
    here: Executor
    budget: Budget
    limits: Limits
    n_workers: int
    learners: Mapping[str, AbstractLearner]
    plugins: tuple[str, ...]
    experience: Experience
    seed: int
    listener: Listener | None
    trials: list[Trial] = field(default_factory=list)
    running: list[Started] = field(default_factory=list)
    sources: Sources = field(default_factory=Sources)
    interrupted: bool = False
    journal: Journal = field(init=False)
    valid_target: Array = field(init=False)
    valid_weights: Array | None = field(init=False)

    def __post_init__(self) -> None:
        self.journal = Journal(self.experience, self.task)
        rows = np.concatenate([valid for _, valid in self.folds])
        self.valid_target = self.task.target[rows]
        self.valid_weights = None if self.task.weights is None else self.task.weights[rows]

    def run(self, policy: str | AbstractPolicy) -> SearchResult:
        """Spends the budget, then combines what is there."""
        self.notify("started")
        stop_reason = "interrupted"
        try:
            self.collect(self.start(Proposal(Strategy("constant"), 0.0, "baseline"), self.here))
            self.open()
            stop_reason = self.spend(policy)
        except KeyboardInterrupt:
            self.interrupted = True
        try:
            self.stop_running()
        except KeyboardInterrupt:
            self.interrupted = True
        return self.finish(stop_reason)

    def open(self) -> None:
        """Starts a cheap trial that needs no advice, so that workers are busy at once."""
        name = next((name for name in PREFERRED if name in self.learners), "")
        if name and name != "constant":
            strategy = Strategy(name, self.learners[name].space.default(), schedule={})
            self.start(Proposal(strategy, 0.0, "opening", reason="quick first model"), self.executor)

    def spend(self, policy: str | AbstractPolicy) -> str:
        """Tries what the policy proposes until the budget is spent; returns why it stopped."""
        features = compute(self.task)
        settings = {
            "metric": self.task.metric.name,
            "budget_s": self.budget.seconds,
            "trials": self.budget.trials,
            "seed": self.seed,
        }
        self.trials = self.journal.begin(features, settings, self.trials)
        if self.experience.weights is not None:
            self.sources = self.experience.weights.sources(self.task, self.learners)
        chooser = self.policy(policy)
        rng = np.random.default_rng(self.seed)
        stop_reason = ""
        while True:
            while not stop_reason and self.room():
                if stop_reason := self.nothing_to_gain():
                    break
                proposal = chooser.ask([self.context(features)], rng)[0]
                if proposal is None:
                    stop_reason = "the policy sees nothing more to gain"
                else:
                    self.start(proposal, self.executor)
            if not self.running:
                return stop_reason or "the budget is spent"
            ended = self.wait()
            if self.budget.left_s == 0:
                return "the budget is spent"
            chooser.tell(ended)

    def policy(self, policy: str | AbstractPolicy) -> AbstractPolicy:
        """Returns a policy that knows what is remembered, unless the user brought his own."""
        if isinstance(policy, AbstractPolicy):
            return policy
        return get_policy(policy, self.experience.knowledge(self.task.kind, self.task.metric.name))

    def room(self) -> bool:
        """Tells whether another trial should start now."""
        tried = len(self.trials) + len(self.running) - 1
        if self.budget.trials is not None and tried >= self.budget.trials:
            return False
        if self.budget.repeats:
            return tried % GENERATION != 0 or not self.running
        return len(self.running) < max(1, self.n_workers) and (self.budget.left_s or 0.0) > 0.1

    def context(self, features: Array) -> Context:
        """Returns what the policy may see; nothing measured by the clock if runs must repeat."""
        history = sorted(self.trials, key=lambda t: t.number)
        if self.budget.repeats:
            history = [replace(t, cost_s=0.0) for t in history]
        tried = len(self.trials) + len(self.running) - 1
        return Context(
            self.task.fingerprint,
            self.task.kind,
            self.task.form,
            self.task.metric.name,
            len(self.task),
            self.task.inputs.n_features,
            self.task.n_classes,
            features,
            tuple(name for name in self.learners if name != "constant"),
            tuple(history),
            tuple(s.proposal.strategy for s in self.running),
            self.budget.left_s,
            None if self.budget.trials is None else self.budget.trials - tried,
            folds=len(self.folds),
            cores=max(1, self.n_workers),
            has_order=self.task.order is not None,
            initial=self.sources.strategies(),
        )

    def start(self, proposal: Proposal, executor: Executor) -> Started:
        """Starts a trial with its share of the time that is left, and with the weights that it should begin with."""
        proposal, initial = self.with_source(proposal)
        number = len(self.trials) + len(self.running)
        left_s = self.budget.left_s
        is_baseline = executor is self.here  # it is never cut short: a late model is better than none
        allowed_s = None if left_s is None or is_baseline else self.budget.allowance_s(proposal.predicted_cost_s)
        hard_s = TRIAL_LIMIT_S if allowed_s is None or left_s is None else min(1.25 * allowed_s + 1.0, left_s + 0.2)
        started = start_inner(
            executor,
            self.data,
            self.output,
            proposal,
            number=number,
            seed=self.seed,
            budget_s=allowed_s,
            limits=replace(self.limits, time_s=hard_s),
            plugins=self.plugins,
            initial=initial,
        )
        self.running.append(started)
        self.notify("trial_started")
        return started

    def with_source(self, proposal: Proposal) -> tuple[Proposal, Path | None]:
        """Returns a proposal with where its weights come from, and their file; None if it begins from scratch."""
        found = self.sources.of(proposal.strategy)
        if found is None or self.experience.weights is None:
            return proposal, None
        apart, source = found
        self.experience.weights.used(source)
        how = "kept as they are" if proposal.strategy.init["body"] == "frozen" else "trained on"
        text = f"weights of {source.name} ({source.rows} rows, distance {apart:.2f}), {how}"
        return replace(proposal, source=text), source.path

    def wait(self) -> list[Trial]:
        """Waits for news; returns the trials that ended, a whole generation if runs must repeat."""
        enough = ALL_COMPLETED if self.budget.repeats else FIRST_COMPLETED
        self.journal.write()
        self.discard()
        while True:
            left_s = self.budget.left_s
            pause_s = 0.5 if left_s is None else max(0.01, min(0.5, left_s))
            done = wait([s.future for s in self.running], pause_s, enough).done
            if not self.budget.repeats or len(done) == len(self.running):
                ready = [s for s in self.running if s.future.done()]
                if ready or left_s == 0:
                    return [self.collect(s) for s in ready]
            self.notify("waiting")

    def collect(self, started: Started) -> Trial:
        """Turns a finished training into a trial, and remembers it."""
        trial = end_inner(
            started,
            self.task,
            self.valid_target,
            folds=len(self.folds),
            valid_weights=self.valid_weights,
            run=self.journal.run,
        )
        self.running.remove(started)
        self.trials.append(trial)
        if trial.extra["no_initial"]:
            self.sources = self.sources.without(Path(str(trial.extra["initial"])).stem)
            self.journal.notes.append(f"Trial {trial.number} began from scratch: {trial.extra['no_initial']}")
        self.journal.add(trial)
        self.notify("trial_ended", trial)
        return trial

    def completed(self) -> list[Trial]:
        """Returns the completed trials, best first."""
        return sorted((t for t in self.trials if t.completed), key=lambda t: -(t.score or 0.0))

    def discard(self) -> None:
        """Removes models that will not be combined whatever comes: thousands of files would cost time in the end."""
        completed = self.completed()
        kept = (*worth_combining(completed), self.best_network(completed))
        for trial in self.trials:
            folder = Path(str(trial.extra["folder"]))
            if trial not in kept and folder.exists():
                shutil.rmtree(folder, ignore_errors=True)

    def stop_running(self) -> None:
        """Ends what still runs; its trials are kept as cut short by the budget."""
        if isinstance(self.executor, ProcessExecutor):
            for started in self.running:
                self.executor.kill(started.future)
        for started in list(self.running):
            if started.future.cancelled():
                self.running.remove(started)
            else:
                self.collect(started)

    def patience(self) -> int:
        """Returns how many models in a row may bring nothing: more rows, finer differences."""
        return int(np.interp(np.log10(len(self.task)), [2, 3, 4, 5], [12, 20, 40, 80]))

    def nothing_to_gain(self) -> str:
        """Returns why further models would bring nothing, or nothing; never with a budget in trials."""
        if self.budget.trials is not None:
            return ""
        scores = [t.score if t.score is not None else -np.inf for t in self.trials]
        perfect = self.task.metric.sign * self.task.metric.best
        if sum(score >= perfect for score in scores) >= PERFECT_MODELS:
            return f"{PERFECT_MODELS} models reach the best {self.task.metric.name} there is"
        if len(scores) - 1 - int(np.argmax(scores)) > self.patience():
            return f"no gain from the last {self.patience()} models"
        return ""

    def finish(self, stop_reason: str) -> SearchResult:
        """Combines the completed trials into a model."""
        completed = self.completed()
        if not completed:
            self.journal.end("failed", time.monotonic() - self.budget.started)
            causes = "; ".join(sorted({f"{t.strategy.learner}: {t.error}" for t in self.trials if t.error}))
            raise NoModelError(f"No strategy led to a model. {causes}")
        self.notify("ensembling")
        candidates = worth_combining(completed)
        weights, temperature, score = combine(self.task, candidates, self.valid_target, self.valid_weights, self.seed)
        chosen = {t.number: float(w) for t, w in zip(candidates, weights, strict=True) if w > 0}
        members = tuple(self.member(t, w) for t in candidates if (w := chosen.get(t.number, 0.0)) > 0)
        seconds = time.monotonic() - self.budget.started
        result = SearchResult(
            self.model(members, temperature=temperature, score=score, seconds=seconds),
            self.task.fingerprint,
            tuple(sorted(self.trials, key=lambda t: t.number)),
            chosen,
            score,
            self.task.metric,
            stop_reason,
            seconds,
            self.journal.run,
            self.interrupted,
            (*self.task.notes, *self.journal.notes),
        )
        self.journal.end(
            "interrupted" if self.interrupted else "completed",
            seconds,
            score=score,
            weights={str(number): weight for number, weight in chosen.items()},
            reasons={str(t.number): why for t in result.trials if (why := t.proposal.remembered_reason)},
            stop_reason=stop_reason,
        )
        if network := self.best_network(completed):
            self.journal.keep_weights(network)
        self.notify("done")
        return result

    def member(self, trial: Trial, weight: float) -> Member:
        """Returns a trial's saved models, one per fold, as a part of the ensemble."""
        folder = Path(str(trial.extra["folder"]))
        return Member(trial.strategy, tuple(read_parts(folder, i) for i in range(len(self.folds))), weight)

    def model(self, members: Sequence[Member], *, temperature: float, score: float, seconds: float) -> Model:
        """Returns the model, with what a person may want to know of how it came about."""
        info = {
            "validation_score": self.task.metric.published(score),
            "fidelity": self.fidelity(),
            "trials": len(self.trials),
            "seconds": round(seconds, 3),
            "run": self.journal.run,
            "seed": self.seed,
        }
        return Model.of(self.task, members, temperature=temperature, info=info)

    def fidelity(self) -> str:
        """Returns how models were validated, for a person."""
        name = fidelity_name(len(self.folds) // self.repeats)
        return name if self.repeats == 1 else f"{name}, {self.repeats} times"

    def best_network(self, completed: Sequence[Trial]) -> Trial | None:
        """Returns the best trial of a learner that can begin with the weights of another, if there is one."""
        having = {name for name, learner in self.learners.items() if learner.handles_initial}
        return next((trial for trial in completed if trial.strategy.learner in having), None)

    def notify(self, kind: str, trial: Trial | None = None, message: str = "") -> None:
        """Tells the listener how it stands."""
        if self.listener is None:
            return
        scores = [t.score for t in self.trials if t.score is not None]
        tried = len(self.trials) + len(self.running) - 1
        self.listener.notify(
            Event(
                kind,
                self.budget.left_s,
                None if self.budget.trials is None else max(0, self.budget.trials - tried),
                max(scores) if scores else None,
                self.task.metric.name,
                tuple(s.proposal.strategy.learner for s in self.running),
                trial,
                message,
            )
        )


def _usable_learners(
    task: Task, wanted: Sequence[str | AbstractLearner] | None
) -> tuple[dict[str, AbstractLearner], tuple[str, ...]]:
    """Returns the learners that fit the task, by name, and those that a worker must import by reference."""
    own = [learner for learner in wanted or () if isinstance(learner, AbstractLearner)]
    for learner in own:
        register_learner(learner)
    names = [learner if isinstance(learner, str) else learner.name for learner in wanted or ()]
    fitting = available_learners(task.form, task.kind, also=names)
    usable = {name: learner for name, learner in fitting.items() if not names or name in names}
    if not usable:
        raise UsageError(
            f"None of the learners {names} fits a {task.kind} task on {task.form}; these do: {list(fitting)}."
        )
    return usable, tuple(f"{type(learner).__module__}:{type(learner).__qualname__}" for learner in own)


@contextlib.contextmanager
def _executor(workers: int | None) -> Iterator[tuple[Executor, int]]:
    """Yields where trainings run and how many run side by side; 0: in this very process."""
    n_workers = cores() if workers is None else workers
    if n_workers < 0:
        raise UsageError(f"Expected workers >= 0, got {workers}.")
    executor: Executor = ProcessExecutor(n_workers) if n_workers else SerialExecutor()
    try:
        yield executor, n_workers
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _fair_memory_mb(n_workers: int) -> float:
    """Returns an even share of three quarters of the memory that is free now."""
    free_mb = min(memory_limit_mb(), psutil.virtual_memory().available / 2**20)
    return max(256.0, 0.75 * free_mb / n_workers)


def _with_metric_that_is_defined(task: Task, folds: Folds, seed: int) -> Task:
    """Returns the task, with another metric if its own is not defined on the rows that validate.

    The area under the ROC curve, for one, needs rows of both classes; with a handful of rows there may be none.
    """
    if not task.kind.is_classification:
        return task
    rows = np.concatenate([valid for _, valid in folds])
    guess = np.random.default_rng(seed).dirichlet(np.ones(task.n_classes), len(rows))
    weights = None if task.weights is None else task.weights[rows]
    if np.isfinite(task.metric.score(task.target[rows], guess, weights)):
        return task
    note = f"{task.metric.name} is not defined on so few rows; models are chosen by log_loss."
    return replace(task, metric=METRICS["log_loss"], notes=(*task.notes, note))
