"""Lets g learn on a person's own tasks: which learner, configuration, schedule and rows suit which task.

    tasks -> LiveWorld -> run_outer -> Learned (a file that `gstar fit --policy gradient:FILE` reads)

Every trial is remembered. A meta-training that was stopped goes on where it stood.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from gstar import __version__
from gstar.collect import read_manifest
from gstar.contexts import NAMES
from gstar.distribution import TreeDistribution
from gstar.errors import DataError, UsageError
from gstar.executors import Limits, ProcessExecutor
from gstar.experience import Experience
from gstar.learned import Learned
from gstar.learner import AbstractLearner, available_learners, get_learner
from gstar.machine import cores
from gstar.metafeatures import compute
from gstar.metric import TaskKind
from gstar.outer import OuterSettings, Progress, run_outer
from gstar.reading import make_task
from gstar.space import Space
from gstar.strategy import strategy_space
from gstar.task import Task
from gstar.trial import Trial
from gstar.worlds.live import LiveTask, LiveWorld

Array: TypeAlias = np.ndarray

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
                task = make_task(file.path, target=file.target, name=file.name, kind=file.kind)
                found.append(Family(task, file.family))
        else:
            task = make_task(path, target=target, name=Path(path).stem)
            found.append(Family(task, task.name))
    if not found:
        raise DataError("Expected at least one task to learn from, got none.")
    return found


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
        task = task.take(np.flatnonzero(np.isin(task.target, classes)))
        kind = TaskKind.BINARY if len(classes) == 2 else TaskKind.MULTICLASS
        labels = tuple(task.classes[int(c)] for c in classes)
        task = replace(task, kind=kind, target=np.searchsorted(classes, task.target), classes=labels)
    if len(task) > rows:
        task = task.take(np.sort(rng.permutation(len(task))[:rows]))
    return task


def space_of(text: str | None, tasks: Sequence[Task]) -> Space:
    """Returns the space that g is over.

    Args:
        text: A JSON file that `Space.to_json` made, or names of learners with commas; None: all that fit.
        tasks: The tasks that it is for.

    Raises:
        UsageError: If it is neither, or no learner fits.
    """
    if text is not None and text.endswith(".json"):
        try:
            return Space.from_json(json.loads(Path(text).read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"Expected a space as JSON in {text}, but {error!r}.") from error
    if text is not None:
        learners: dict[str, AbstractLearner] = {name: get_learner(name) for name in text.split(",")}
    else:
        learners = {}
        for form, kind in sorted({(task.form, task.kind) for task in tasks}):
            learners |= available_learners(form, kind)
        learners.pop("constant", None)
    return strategy_space(
        {name: learner.space for name, learner in learners.items()},
        scheduled=frozenset(name for name, learner in learners.items() if learner.has_schedule),
        paced=frozenset(name for name, learner in learners.items() if learner.handles_pace),
    )


def meta_train(
    families: Sequence[Family],
    space: Space,
    *,
    out: Path,
    budget_s: float,
    trial_s: float = 20.0,
    settings: OuterSettings | None = None,
    hidden: int = 0,
    experience: Experience | None = None,
    workers: int | None = None,
    listener: Callable[[Progress], None] = lambda _: None,
) -> Learned:
    """Lets g learn by the policy gradient, with models that are trained now.

    Args:
        families: The tasks.
        space: The strategies.
        out: Where g goes; beside it lie a checkpoint while it learns, and a line for each iteration in
            ``OUT.trace.jsonl``.
        budget_s: Seconds, of this call.
        trial_s: Seconds after which a trial is killed; it is then worth as little as a failed one.
        settings: How g learns; None: defaults for a space of this size.
        hidden: Width of the network that reads the context; 0: linear.
        experience: Where trials are kept, or None.
        workers: Trainings side by side; None: one per core.
        listener: Is told how it goes on.

    Raises:
        NoModelError: If every trial of several iterations failed.
        UsageError, UntrustedFileError: If the checkpoint is of another meta-training, or damaged.
    """
    settings = replace(settings or default_settings(), budget_s=budget_s)
    g = TreeDistribution(space, context_size=len(NAMES), hidden=hidden)
    live = [LiveTask.of(f.task, family=f.family, seconds=trial_s, seed=settings.seed) for f in families]
    checkpoint, trace = (out.with_name(out.name + end) for end in (".checkpoint", ".trace.jsonl"))
    if not checkpoint.exists():
        trace.unlink(missing_ok=True)

    def listen(progress: Progress) -> None:
        with trace.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(trace_line(progress, g, live)) + "\n")
        listener(progress)

    remember = _remembering(experience, families, settings)
    with (
        ProcessExecutor(workers or cores()) as executor,
        LiveWorld(live, executor, Limits(time_s=trial_s), remember=remember) as world,
    ):
        result = run_outer(g, world, settings, checkpoint=checkpoint, listener=listen)
    learned = Learned(
        g,
        result.meta,
        {
            "tasks": len(live),
            "families": sorted({f.family for f in families}),
            "iterations": result.iterations,
            "trials": result.n_trainings,
            "failed": result.n_failed,
            "stop_reason": result.stop_reason,
            "estimator": settings.estimator,
            "seed": settings.seed,
            "gstar": __version__,
        },
    )
    learned.save(out)
    if result.stop_reason == "converged":
        checkpoint.unlink(missing_ok=True)
    return learned


def default_settings(seed: int = 0) -> OuterSettings:
    """Returns how g learns from live trials: few and dear, so each is used three times."""
    return OuterSettings(
        "leave_one_out", tasks=8, strategies=4, rate=0.02, entropy=0.01, reuse=2, iterations=100_000, seed=seed
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
    return line


def root_chances(g: TreeDistribution, meta: Array, contexts: Array) -> dict[str, float]:
    """Returns how likely each choice of the first category is, averaged over contexts."""
    from gstar.distribution.heads import CategoricalHead

    name, head = next(((n, h) for n, h in g.heads.items() if isinstance(h, CategoricalHead)), ("", None))
    if head is None:
        return {}
    shares = np.exp(head.log_probs(g.map(meta, contexts)[:, g.slices[name]])).mean(axis=0)
    return {str(choice): float(share) for choice, share in zip(head.parameter.choices, shares, strict=True)}


def _remembering(
    experience: Experience | None, families: Sequence[Family], settings: OuterSettings
) -> Callable[[Sequence[Trial]], None]:
    """Returns what keeps trials, each in the run of its task."""
    if experience is None:
        return lambda _: None
    runs: dict[str, str] = {}
    counts: Counter[str] = Counter()
    tasks = {f.task.fingerprint: f for f in families}

    def remember(trials: Sequence[Trial]) -> None:
        kept = []
        for trial in trials:
            if trial.task not in runs:
                family = tasks[trial.task]
                experience.add_task(family.task, compute(family.task), family=family.family)
                runs[trial.task] = experience.start_run(trial.task, {"meta_train": settings.seed}) or ""
            kept.append(replace(trial, run=runs[trial.task], number=counts[trial.task]))
            counts[trial.task] += 1
        experience.append(kept)

    return remember


def read_trace(out: Path) -> list[Mapping[str, Any]]:
    """Returns the lines of a meta-training's trace, oldest first."""
    trace = out.with_name(out.name + ".trace.jsonl")
    if not trace.exists():
        return []
    return [json.loads(line) for line in trace.read_text(encoding="utf-8").splitlines() if line.strip()]
