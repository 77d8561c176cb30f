"""A world that trains: every trial is a model that is fitted now, in a process of its own."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from gstar.contexts import NAMES, context_vector
from gstar.errors import DataError, GstarError
from gstar.executors import Limits
from gstar.gradients import Draws
from gstar.inner import Started, end_inner, fidelity_name, share, start_inner
from gstar.learner import get_learner
from gstar.metafeatures import compute
from gstar.policy import Context
from gstar.runfolder import own_folder
from gstar.strategy import Strategy
from gstar.task import Task
from gstar.trial import Proposal, Status, Trial
from gstar.validation import plan_folds
from gstar.weights import Sources, WeightsWarning
from gstar.world import AbstractWorld, DrawnTasks, Outcomes
from gstar.worlds.rewards import RewardScale

Array: TypeAlias = np.ndarray

QUERY_FRACTION: Final = 0.4
"""Share of a task's rows that only the reward is measured on."""
VALIDATION_FRACTION: Final = 0.25
"""Share of the other rows that training may look at to stop in time."""


@dataclass(frozen=True, eq=False)
class LiveTask:
    """Is a task that is ready to be trained on.

    Args:
        task: All its rows.
        support: Rows to fit and to validate on.
        query: Rows that only the reward is measured on.
        folds: The one hold-out split of the support rows.
        scale: What a score is worth.
        context: ``(X,)`` what g sees.
        family: Tasks of one family are never on two sides of a split.
        sources: The weights that strategies with `init` begin with.
    """

    task: Task
    support: Array
    query: Array
    folds: tuple[tuple[Array, Array], ...]
    scale: RewardScale
    context: Array
    family: str
    sources: Sources = field(default_factory=Sources)

    @staticmethod
    def of(
        task: Task,
        *,
        family: str = "",
        seconds: float = 30.0,
        cores: int = 1,
        seed: int = 0,
        split: tuple[Array, Array] | None = None,
    ) -> LiveTask:
        """Splits a task and describes its support rows.

        Args:
            task: All rows.
            family: Its family; its name if not given.
            seconds: What a trial may take; g sees it.
            cores: What a trial may use; g sees it.
            seed: Seed of the splits.
            split: Support rows and query rows, if they are given.

        Raises:
            DataError: If it has too few rows for three parts.
        """
        support, query = split or plan_folds(task, folds=1, fraction=QUERY_FRACTION, seed=seed)[0]
        inner = task.take(support)
        train, valid = plan_folds(inner, folds=1, fraction=VALIDATION_FRACTION, seed=seed)[0]
        context = Context(
            task.fingerprint,
            task.kind,
            task.form,
            task.metric.name,
            len(train),
            task.inputs.n_features,
            task.n_classes,
            compute(inner),
            (),
            budget_left_s=seconds,
            cores=cores,
        )
        return LiveTask(
            task,
            support,
            query,
            ((support[train], support[valid]),),
            RewardScale.of_task(task, support, query),
            context_vector(context),
            family or task.name,
        )


@dataclass(eq=False)
class LiveWorld(AbstractWorld):
    """Trains every strategy that is drawn, all of an iteration side by side.

    A strategy whose learner does not take the form of a task fails at once. Trials of one task and
    iteration share their seed, so that they differ by strategy and not by luck. What begins with remembered
    weights has the body of the most similar task's network; where there is none, it begins from scratch.

    Args:
        tasks: The tasks.
        executor: Where trials run.
        limits: Beyond which a trial is killed; its time limit is what `LiveTask.of` was told.
        remember: Is handed every trial, for experience.
        folder: Where shared data and models lie while they are needed; None: a temporary folder.
        version: Names the g that proposes, in the trials that are remembered.
        plugins: ``module:Class`` of learners that are not installed as entry points.
    """

    tasks: Sequence[LiveTask]
    executor: Executor
    limits: Limits = field(default_factory=Limits)
    remember: Callable[[Sequence[Trial]], None] = lambda _: None
    folder: Path | None = None
    version: str = "0"
    plugins: tuple[str, ...] = ()
    context_size: int = len(NAMES)

    def __post_init__(self) -> None:
        if not self.tasks:
            raise DataError("Expected at least one task to learn from, got none.")
        self._own = self.folder is None
        self._root = self.folder or own_folder()
        self._shared: dict[int, Path] = {}
        self._lost: set[str] = set()
        self._begun: set[Future[Any]] = set()

    def close(self) -> None:
        """Ends trials that nobody waits for any more, and removes what it wrote to a temporary folder."""
        for future in self._begun:
            getattr(self.executor, "kill", Future.cancel)(future)
        if self._own:
            shutil.rmtree(self._root, ignore_errors=True)

    def __enter__(self) -> LiveWorld:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def draw(self, n: int, rng: np.random.Generator, *, iteration: int) -> DrawnTasks:
        """Draws n tasks, each once before any comes twice."""
        rounds = [rng.permutation(len(self.tasks)) for _ in range(-(-n // len(self.tasks)))]
        rows = np.concatenate(rounds)[:n]
        return DrawnTasks(np.stack([self.tasks[i].context for i in rows]), rows.tolist())

    def train(self, tasks: DrawnTasks, draws: Draws, *, seed: int) -> Outcomes:
        return self.begin(tasks, draws, seed=seed)()

    def begin(self, tasks: DrawnTasks, draws: Draws, *, seed: int) -> Callable[[], Outcomes]:
        rows = np.repeat(np.arange(len(tasks)), draws.n)
        seeds = np.random.default_rng(seed).integers(2**31, size=len(tasks))
        proposals = [
            Proposal(Strategy.from_point(point), float(log_prob), "gradient", self.version)
            for point, log_prob in zip(draws.points.configurations, draws.log_probs.ravel(), strict=True)
        ]
        trials = self._begin([tasks.items[row] for row in rows.tolist()], proposals, seeds[rows].tolist())

        def wait() -> Outcomes:
            ended = trials()
            self.remember(ended)
            return _outcomes(ended, (len(tasks), draws.n))

        return wait

    def trials(self, items: Sequence[int], proposals: Sequence[Proposal], seeds: Sequence[int]) -> list[Trial]:
        """Trains every proposal on the task of that number, all side by side, and waits for them."""
        return self._begin(items, proposals, seeds)()

    def _begin(
        self, items: Sequence[int], proposals: Sequence[Proposal], seeds: Sequence[int]
    ) -> Callable[[], list[Trial]]:
        """Begins to train every proposal, what is likely to take longest first, so that no core waits long for it."""
        proposals = [
            replace(proposal, strategy=self.tasks[item].sources.beginning(proposal.strategy))
            for item, proposal in zip(items, proposals, strict=True)
        ]
        output = Path(tempfile.mkdtemp(prefix="trials-", dir=self._root))
        order = np.argsort([-self._work(item, p) for item, p in zip(items, proposals, strict=True)], kind="stable")
        started = {i: self._start(items[i], proposals[i], output, number=i, seed=seeds[i]) for i in order.tolist()}
        futures = {trial.future for trial in started.values() if isinstance(trial, Started)}
        self._begun |= futures

        def wait() -> list[Trial]:
            trials = [self._end(item, started[i]) for i, item in enumerate(items)]
            self._begun -= futures
            shutil.rmtree(output, ignore_errors=True)
            return trials

        return wait

    def _work(self, i: int, proposal: Proposal) -> float:
        """Returns a guess of the seconds that a trial takes."""
        task, strategy = self.tasks[i].task, proposal.strategy
        try:
            learner = get_learner(strategy.learner)
        except GstarError:
            return 0.0
        return learner.work(len(task), task.inputs.n_features, task.n_classes, strategy.configuration)

    def reward(self, tasks: DrawnTasks, scores: Array) -> Array:
        return np.stack([self.tasks[i].scale.reward(row) for i, row in zip(tasks.items, scores, strict=True)])

    def _start(self, i: int, proposal: Proposal, output: Path, *, number: int, seed: int) -> Started | Trial:
        """Starts a trial; one that makes no sense has failed already."""
        live, learner = self.tasks[i], proposal.strategy.learner
        try:
            forms = get_learner(learner).forms
        except GstarError as error:
            return _failed(live, proposal, str(error), number=number, seed=seed)
        if live.task.form not in forms:
            cause = f"{learner} takes {' and '.join(sorted(forms))}, not {live.task.form}"
            return _failed(live, proposal, cause, number=number, seed=seed)
        source = live.sources.of(proposal.strategy)
        return start_inner(
            self.executor,
            self._data(i),
            output,
            proposal,
            number=number,
            seed=seed,
            budget_s=None,
            limits=self.limits,
            plugins=self.plugins,
            initial=None if source is None else source[1].path,
        )

    def _end(self, i: int, started: Started | Trial) -> Trial:
        if isinstance(started, Trial):
            return started
        live = self.tasks[i]
        target = live.task.target
        trial = end_inner(started, live.task, target[live.folds[0][1]], folds=1, query_target=target[live.query])
        self._tell_lost(started.job.initial, str(trial.extra["no_initial"]))
        return trial

    def _tell_lost(self, file: str, cause: str) -> None:
        """Warns, once for each file, that trials which should have begun with its weights begin from scratch."""
        if cause and file not in self._lost:
            self._lost.add(file)
            warnings.warn(f"Networks begin from scratch: {cause}", WeightsWarning, stacklevel=2)

    def _data(self, i: int) -> Path:
        """Returns the folder where workers find a task; it is written at its first use."""
        if i not in self._shared:
            folder = self._root / f"task-{i:04d}"
            folder.mkdir(parents=True, exist_ok=True)
            live = self.tasks[i]
            self._shared[i] = share(live.task, live.folds, folder, query=live.query)
        return self._shared[i]


def _outcomes(trials: Sequence[Trial], shape: tuple[int, int]) -> Outcomes:
    found = [t.query_score for t in trials], [t.score for t in trials]
    scores, valid = (np.reshape([np.nan if x is None else x for x in column], shape) for column in found)
    causes = dict.fromkeys(t.error for t in trials if t.error)
    return Outcomes(scores, np.reshape([t.cost_s for t in trials], shape), tuple(causes), valid)


def _failed(live: LiveTask, proposal: Proposal, cause: str, *, number: int, seed: int) -> Trial:
    task = live.task
    return Trial(
        proposal, task.fingerprint, Status.FAILED, fidelity_name(1), seed, task.metric.name, error=cause, number=number
    )
