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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from gstar import __version__
from gstar.collect import read_manifest
from gstar.contexts import NAMES
from gstar.distribution import TreeDistribution
from gstar.distribution.heads import CategoricalHead
from gstar.errors import DataError, GstarError, StorageError, UsageError
from gstar.executors import Limits, ProcessExecutor
from gstar.experience import Experience
from gstar.gradients import get_gradient
from gstar.learned import Learned
from gstar.learner import AbstractLearner, available_learners, get_learner, register_learner
from gstar.machine import cores
from gstar.metafeatures import compute
from gstar.metric import TaskKind
from gstar.outer import Convergence, OuterResult, OuterSettings, Progress, run_outer
from gstar.policies.candidates import selections_for
from gstar.policies.gradient import GradientPolicy
from gstar.policies.sampling import restrict
from gstar.reading import make_task
from gstar.space import Categorical, Space
from gstar.strategy import strategy_space, with_init
from gstar.task import Task
from gstar.tensorfile import DAMAGED
from gstar.trial import Trial
from gstar.weights import Relatives, Source, Weights, WeightsWarning
from gstar.worlds.live import LiveTask, LiveWorld

Array: TypeAlias = np.ndarray

UNFIT: Final = -8.0
"""Logit, at the start, of a learner on a task that it does not take."""
SEEN_ROWS: Final = 500
"""Rows of a task, unless told otherwise: enough to tell strategies apart, few enough to try many."""


@dataclass(frozen=True)
class Family:
    """Is a task with the name of its family.

    Args:
        task: The task.
        family: Tasks of one family are never on two sides of a split.
    """

    task: Task
    family: str


def read_tasks(paths: Sequence[str], *, target: str | None = None) -> list[Family]:
    """Reads tasks: whatever `gstar fit` reads, and folders with a ``manifest.csv``.

    Raises:
        DataError: If there is none, or one cannot be read.
    """
    found: list[Family] = []
    for path in paths:
        if (Path(path) / "manifest.csv").exists():
            for file in read_manifest(Path(path)):
                task = _read(file.path, target=file.target, name=file.name, kind=file.kind)
                found.append(Family(task, file.family))
        else:
            task = _read(Path(path), target=target, name=Path(path).stem)
            found.append(Family(task, task.name))
    if not found:
        raise DataError("Expected at least one task to learn from, got none.")
    return found


def _read(path: Path, **options: Any) -> Task:
    """Reads a task; an error says which one it is."""
    try:
        return make_task(str(path), **options)
    except DataError as error:
        raise DataError(f"{path} cannot be learned from: {error}") from error


def episodes_of(
    families: Sequence[Family], *, ways: Sequence[int] = (), rows: int = SEEN_ROWS, n: int = 0, seed: int = 0
) -> list[Family]:
    """Cuts tasks to a size, and tasks of many classes into smaller ones of some classes.

    Args:
        families: The tasks.
        ways: Numbers of classes; empty: tasks keep theirs.
        rows: At most so many rows per task.
        n: How many to cut from each task that has enough classes; 0: one for each number in `ways`.
        seed: Seed of the choice.

    Raises:
        DataError: If no task has as many classes as asked for.
    """
    rng = np.random.default_rng(seed)
    found: list[Family] = []
    for family in families:
        wanted = [w for w in ways if w <= family.task.n_classes]
        if not wanted:
            found.append(replace(family, task=_cut(family.task, None, rows, rng)))
        for i in range(max(n, len(wanted)) if wanted else 0):
            classes = rng.choice(family.task.n_classes, wanted[i % len(wanted)], replace=False)
            cut = _cut(family.task, np.sort(classes), rows, rng)
            found.append(replace(family, task=replace(cut, name=f"{family.task.name}-{i}")))
    if ways and all(f.task.n_classes < min(ways) for f in families):
        raise DataError(f"Expected a task with at least {min(ways)} classes, got none.")
    return found


def _cut(task: Task, classes: Array | None, rows: int, rng: np.random.Generator) -> Task:
    """Returns a part of a task, with these classes only."""
    if classes is not None:
        task = cut_classes(task, classes)
    if len(task) > rows:
        task = task.take(np.sort(rng.permutation(len(task))[:rows]))
    return task


def cut_classes(task: Task, classes: Array) -> Task:
    """Returns the rows of some classes, as a task of its own.

    Args:
        task: A classification.
        classes: Codes of at least two classes, in order.
    """
    task = task.take(np.flatnonzero(np.isin(task.target, classes)))
    kind = TaskKind.BINARY if len(classes) == 2 else TaskKind.MULTICLASS
    labels = tuple(task.classes[int(c)] for c in classes)
    return replace(task, kind=kind, target=np.searchsorted(classes, task.target), classes=labels)


def space_of(text: str | None, tasks: Sequence[Task]) -> Space:
    """Returns the space that g is over.

    Args:
        text: A JSON file that `Space.to_json` made, or names of learners with commas; None: all that fit.
        tasks: The tasks that it is for.

    Raises:
        UsageError: If it is neither, or no learner of it fits a task.
        MissingExtraError: If a learner needs what is not installed.
    """
    if text is not None and text.endswith(".json"):
        space = _read_space(Path(text))
    else:
        space = _joined(_named(text) if text is not None else _fitting(tasks), tasks)
    root = space.parameters.get("learner")
    if not isinstance(root, Categorical):
        raise UsageError("Expected a space of strategies, with a choice of 'learner' at its root, got none.")
    _check_fit([get_learner(str(name)) for name in root.choices], tasks)
    return space


def _read_space(path: Path) -> Space:
    try:
        return Space.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, *DAMAGED) as error:
        raise UsageError(f"Expected a space as JSON in {path}, but {error}.") from error


def _named(text: str) -> dict[str, AbstractLearner]:
    return {name: get_learner(name) for part in text.split(",") if (name := part.strip())}


def _fitting(tasks: Sequence[Task]) -> dict[str, AbstractLearner]:
    found: dict[str, AbstractLearner] = {}
    for form, kind in sorted({(task.form, task.kind) for task in tasks}):
        found |= available_learners(form, kind)
    found.pop("constant", None)
    return found


def _joined(learners: Mapping[str, AbstractLearner], tasks: Sequence[Task]) -> Space:
    """Joins learners with the schedules and the choices of rows that make sense for some task."""
    tree = strategy_space(
        {name: learner.space for name, learner in learners.items()},
        scheduled=frozenset(name for name, learner in learners.items() if learner.has_schedule),
        paced=frozenset(name for name, learner in learners.items() if learner.handles_pace),
    )
    kinds = [kind for task in tasks for kind in selections_for(task.kind, task.order is not None)]
    return restrict(tree, "selection.kind", tuple(kinds))


def _check_fit(learners: Sequence[AbstractLearner], tasks: Sequence[Task]) -> None:
    for task in tasks:
        if not any(task.form in learner.forms and task.kind in learner.kinds for learner in learners):
            names = ", ".join(learner.name for learner in learners)
            raise UsageError(
                f"Expected a learner for {task.name} ({task.form}, {task.kind}), but the space has {names}."
            )


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


def checkpoint_of(out: Path) -> Path:
    """Returns where the checkpoint of a meta-training lies."""
    return out.with_name(out.name + ".checkpoint")


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
    """Returns how g learns from live trials: few and dear, so each is used three times if the estimator can."""
    return OuterSettings(
        estimator,
        tasks=8,
        strategies=4,
        rate=0.02,
        entropy=0.01,
        reuse=2 if get_gradient(estimator).handles_reuse else 0,
        iterations=iterations,
        seed=seed,
        convergence=Convergence(window=30),
    )


def trace_line(progress: Progress, g: TreeDistribution, live: Sequence[LiveTask]) -> dict[str, Any]:
    """Returns what a plot needs of an iteration: rewards, entropy, and how likely each choice at the root is."""
    line: dict[str, Any] = {
        "iteration": progress.iteration,
        "reward": progress.reward,
        "reward_error": progress.reward_error,
        "entropy": progress.entropy,
        "kl": progress.kl,
        "trials": progress.n_trainings,
        "failed": progress.n_failed,
    }
    forms = {form: np.stack([t.context for t in live if t.task.form == form]) for form in {t.task.form for t in live}}
    line["chances"] = {form: root_chances(g, progress.meta, contexts) for form, contexts in sorted(forms.items())}
    begun = [task.context for task in live if task.sources.found]
    if begun and "init.kind" in g.heads:
        line["init"] = init_chances(g, progress.meta, np.stack(begun))
    return line


def root_chances(g: TreeDistribution, meta: Array, contexts: Array) -> dict[str, float]:
    """Returns how likely each choice of the first category is, averaged over contexts."""
    name = next((name for name, head in g.heads.items() if isinstance(head, CategoricalHead)), None)
    return {} if name is None else _means(_chances_of(name, g, meta, contexts))


def init_chances(g: TreeDistribution, meta: Array, contexts: Array) -> dict[str, float]:
    """Returns how likely a network that could begin with weights does so, averaged over contexts."""
    kind = _chances_of("init.kind", g, meta, contexts)
    remembered = kind.pop("remembered", np.zeros(len(contexts)))
    body = _chances_of("init.body", g, meta, contexts) if "init.body" in g.heads else {}
    return _means(kind | {how: remembered * share for how, share in body.items()})


def _chances_of(name: str, g: TreeDistribution, meta: Array, contexts: Array) -> dict[str, Array]:
    """Returns how likely each choice of a category is, once it is on: ``(T,)`` for each."""
    head = g.heads[name]
    assert isinstance(head, CategoricalHead)
    shares = np.exp(head.log_probs(g.map(meta, contexts)[:, g.slices[name]]))
    return {str(choice): share for choice, share in zip(head.parameter.choices, shares.T, strict=True)}


def _means(chances: Mapping[str, Array]) -> dict[str, float]:
    return {choice: float(share.mean()) for choice, share in chances.items()}


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


class Trace:
    """Is the file with a line for each iteration; a line that a kill cut off is mended when it goes on.

    Args:
        out: Where g goes.
    """

    def __init__(self, out: Path) -> None:
        self.path = _trace_of(out)
        lines = read_trace(out) if checkpoint_of(out).exists() else []
        self._write("".join(json.dumps(line) + "\n" for line in lines), "w")

    def append(self, line: Mapping[str, Any]) -> None:
        """Adds a line."""
        self._write(json.dumps(line) + "\n", "a")

    def _write(self, text: str, mode: str) -> None:
        try:
            with self.path.open(mode, encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise StorageError(f"The trace {self.path} could not be written: {error}") from error


def read_trace(out: Path) -> list[Mapping[str, Any]]:
    """Returns the lines of a meta-training's trace, one for each iteration, oldest first.

    Args:
        out: Where g went.
    """
    found: dict[int, Mapping[str, Any]] = {}
    path = _trace_of(out)
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    for line in text.splitlines():
        with contextlib.suppress(*DAMAGED):  # a line that a kill cut off
            value = json.loads(line)
            found[int(value["iteration"])] = value
    return [found[i] for i in sorted(found)]


def _trace_of(out: Path) -> Path:
    return out.with_name(out.name + ".trace.jsonl")
