"""``gstar fit``: a table, images or sequences in, a model out."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gstar.cli import options
from gstar.cli.display import Display, display, is_cut_short
from gstar.cli.files import check_model_output
from gstar.cli.interrupts import Interrupts
from gstar.cli.screen import say, show, show_facts, show_json, show_table
from gstar.cli.text import duration, number, size
from gstar.errors import NoModelError, StorageError

if TYPE_CHECKING:
    from gstar.events import Event
    from gstar.model import Model
    from gstar.search import SearchResult
    from gstar.settings import Settings
    from gstar.task import Task
    from gstar.trial import Trial


def fit(
    ctx: typer.Context,
    data: options.Data,
    *,
    target: options.Target = None,
    budget: options.Budget = None,
    trials: Annotated[
        str | None,
        typer.Option("--trials", metavar="N", help="Strategies to try, instead of a time; such a fit repeats exactly."),
    ] = None,
    metric: options.Metric = None,
    out: Annotated[str, typer.Option("--out", metavar="FILE", help="Where the model goes.")] = "model.gstar",
    ordered_by: options.OrderedBy = None,
    group_by: options.GroupBy = None,
    form: options.Form = None,
    image_size: options.ImageSize = None,
    sequence_id: options.SequenceId = None,
    time: options.Time = None,
    experience: options.Place = None,
    weights: options.Room = None,
    policy: options.Policy = None,
    learners: options.Learners = None,
    workers: Annotated[
        str | None, typer.Option("--workers", metavar="N", help="Trials side by side. Default: one per core.")
    ] = None,
    memory: Annotated[
        str | None, typer.Option("--memory", metavar="SIZE", help="Memory for one trial: 4GiB. Default: a fair share.")
    ] = None,
    seed: Annotated[
        str | None, typer.Option("--seed", metavar="N", help="Seed of everything random. Default: 0.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="A line for every trial, and why.")] = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Fits a model to a table, images or sequences within a budget, and remembers every trial.

    Example: gstar fit train.csv --target churn --budget 60s --out churn.gstar
    """
    from gstar.advice import check_learnable
    from gstar.reading import make_task

    settings = options.given(
        budget=budget,
        trials=trials,
        metric=metric,
        experience=experience,
        weights=weights,
        policy=policy,
        learners=learners,
        workers=workers,
        memory=memory,
        seed=seed,
    )
    check_model_output(Path(out))
    with Interrupts() as interrupts:
        task = make_task(
            data,
            target=target,
            metric=settings["metric"],
            ordered_by=ordered_by,
            group_by=group_by,
            form=form,
            image_size=image_size,
            sequence_id=sequence_id,
            time=time,
        )
        if not settings["learners"]:
            check_learnable(task)
        for note in () if quiet else task.notes:
            say(f"Note: {note}")
        shown = display(quiet=quiet, verbose=verbose)
        result, forgotten = _search(task, settings, _Watch(shown, interrupts), started=ctx.obj.at, quiet=quiet)
        for note in result.notes[len(task.notes) :]:
            say(f"Note: {note}")
        path = _save(replace(result.model, info={**result.model.info, "target": target}), Path(out))
    if json:
        show_json(_as_json(result, task, path))
    else:
        _report(result, task, path, budget_s=settings.budget_s, forgotten=forgotten)
    if interrupts.exit_code:
        raise typer.Exit(interrupts.exit_code)


@dataclass(frozen=True)
class _Watch:
    """Passes events on, and notes when the search is over, so that an interrupt no longer ends it."""

    shown: Display
    interrupts: Interrupts

    def notify(self, event: Event) -> None:
        """Is called by the search."""
        self.interrupts.searching = event.kind not in ("ensembling", "done")
        self.shown.notify(event)


def _search(task: Task, settings: Settings, watch: _Watch, *, started: float, quiet: bool) -> tuple[SearchResult, str]:
    """Returns what the search leaves, and why it is not remembered: empty if it is."""
    from gstar.search import search

    with options.opened(settings, tell_first_use=not quiet) as remembered, watch.shown:
        try:
            result = search(
                task,
                budget_s=settings.budget_s,
                trials=settings.trials,
                policy=settings["policy"],
                experience=remembered,
                seed=settings["seed"],
                workers=settings["workers"],
                memory_mb=settings["memory"],
                learners=settings["learners"],
                listener=watch,
                started=started,
            )
        except NoModelError:
            if watch.interrupts.received:
                raise KeyboardInterrupt from None
            raise
        if remembered.warning or not result.run:
            return result, "the experience cannot be written"
        return result, "" if remembered.mode == "on" else f"--experience {remembered.mode}"


def _save(model: Model, path: Path) -> Path:
    """Saves the model; if there is no room any more, elsewhere, so that the work is not lost."""
    try:
        model.save(path)
    except StorageError as error:
        rescue = Path(tempfile.mkdtemp(prefix="gstar-rescued-")) / path.name
        try:
            model.save(rescue)
        except StorageError:
            raise error from None
        raise StorageError(f"{error} The model was saved as {rescue} instead.") from error
    return path


def _report(result: SearchResult, task: Task, path: Path, *, budget_s: float | None, forgotten: str) -> None:
    """Prints the model, its score, what was tried and why, and what to do next."""
    budget = f" of {duration(budget_s)}" if budget_s else ""
    members = sorted((t for t in result.trials if t.number in result.weights), key=lambda t: -result.weights[t.number])
    remembered = f"not kept ({forgotten})" if forgotten else f"run {result.run[:8]} (gstar runs show {result.run[:8]})"
    facts = [
        ("Model", f"{path} ({size(path.stat().st_size)})"),
        ("Task", _task_line(task)),
        (
            "Score",
            f"{result.metric.name} {number(result.metric.published(result.score))} in validation ({_fidelity(result)})",
        ),
        ("Time", f"{duration(result.seconds)}{budget}: {result.stop_reason}"),
        ("Tried", _tried_line(result.trials)),
        *(("Failed", line) for line in _failure_lines(result.trials)),
        ("Remembered", remembered),
    ]
    show_facts(facts)
    show_table(
        ("share", "learner", result.metric.name, "time", "why"),
        (
            (
                f"{result.weights[t.number]:.0%}",
                t.strategy.learner,
                number(None if t.score is None else result.metric.published(t.score)),
                duration(t.cost_s),
                t.proposal.why,
            )
            for t in members
        ),
        right=("share", result.metric.name, "time"),
        title=f"The model is {'an ensemble of ' + str(len(members)) if len(members) > 1 else 'one strategy'}:",
    )
    new = "NEW.npz" if "key" in task.schema else "NEW_FOLDER" if task.form == "images" else "NEW.csv"
    show("", f"Next: gstar predict {path} {new} --out predictions.csv")


def _task_line(task: Task) -> str:
    classes = f", {task.n_classes} classes" if task.n_classes else ""
    return f"{task.kind}{classes}, {_rows_line(task)}"


def _rows_line(task: Task) -> str:
    from gstar.inputs import to_arrays

    arrays = to_arrays(task.inputs)
    if "pixels" in arrays:
        channels, height, width = arrays["pixels"].shape[1:]
        return f"{len(task)} {'grey' if channels == 1 else 'colour'} images of {height} x {width} pixels"
    if "steps" in arrays:
        lengths = arrays["lengths"]
        spread = f"{lengths.min()} to {lengths.max()}" if lengths.min() < lengths.max() else str(lengths.max())
        return f"{len(task)} sequences of {spread} steps with {arrays['steps'].shape[2]} values each"
    return f"{len(task)} rows, {task.inputs.n_features} columns used"


def _fidelity(result: SearchResult) -> str:
    return str(result.model.info.get("fidelity", ""))


def _tried_line(trials: tuple[Trial, ...]) -> str:
    counts = Counter(t.strategy.learner for t in trials if t.completed)
    learners = ", ".join(f"{name} {n}" if n > 1 else name for name, n in counts.most_common())
    cut = sum(map(is_cut_short, trials))
    rest = f"; {cut} more {'was' if cut == 1 else 'were'} running at the end" if cut else ""
    return f"{len(trials) - cut} strategies, {counts.total()} completed: {learners}{rest}"


def _failure_lines(trials: tuple[Trial, ...]) -> list[str]:
    causes = Counter(
        (t.strategy.learner, t.status.value, t.error) for t in trials if not t.completed and not is_cut_short(t)
    )
    return [
        f"{learner} {status.replace('_', ' ')}{f' ({n} times)' if n > 1 else ''}{': ' + error if error else ''}"
        for (learner, status, error), n in causes.most_common(5)
    ]


def _as_json(result: SearchResult, task: Task, path: Path) -> dict[str, Any]:
    return {
        "model": str(path),
        "task": result.task,
        "name": task.name,
        "kind": task.kind.value,
        "classes": list(task.classes),
        "rows": len(task),
        "metric": result.metric.name,
        "score": result.metric.published(result.score),
        "fidelity": _fidelity(result),
        "seconds": result.seconds,
        "stop_reason": result.stop_reason,
        "interrupted": result.interrupted,
        "run": result.run,
        "notes": list(result.notes),
        "trials": [trial_json(t, result.metric.published, result.weights.get(t.number, 0.0)) for t in result.trials],
    }


def trial_json(trial: Trial, published: Any, weight: float | None = None) -> dict[str, Any]:
    """Returns a trial as JSON values, its score as users know it."""
    return {
        "number": trial.number,
        "learner": trial.strategy.learner,
        "status": trial.status.value,
        "score": None if trial.score is None else published(trial.score),
        "metric": trial.metric,
        "fidelity": trial.fidelity,
        "weight": weight,
        "seconds": trial.cost_s,
        "memory_mb": trial.memory_mb,
        "reason": trial.proposal.why,
        "error": trial.error,
        "strategy": trial.strategy.to_json(),
    }
