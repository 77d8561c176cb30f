"""``gstar runs``: the fits that are remembered."""

from __future__ import annotations

import csv
import datetime
import json as json_format
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gstar.cli import options
from gstar.cli.files import check_text_output, writing
from gstar.cli.fit import trial_json
from gstar.cli.screen import say, show, show_facts, show_json, show_table
from gstar.cli.text import clean, csv_cell, duration, json_value, number, published

if TYPE_CHECKING:
    from gstar.experience import Experience, Run

app = typer.Typer(help="The fits that are remembered.", no_args_is_help=True)

RunId = Annotated[str, typer.Argument(metavar="ID", help="A run's identifier, or its beginning.")]


@app.command("list")
def list_(
    task: Annotated[
        str | None, typer.Option("--task", metavar="TASK", help="Only runs of this task, by name or fingerprint.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="At most so many, newest first.")] = 20,
    experience: options.Place = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Lists runs, newest first."""
    with options.opened(options.given(experience=experience), writes=False) as remembered:
        found = remembered.runs()
        runs = [run for run in found if task is None or task == run.task_name or run.task.startswith(task)]
    if json:
        show_json([_as_json(run) for run in runs[:limit]])
        return
    if not runs:
        say("No runs are remembered yet; `gstar fit` makes one.")
        return
    show_table(
        ("run", "when", "task", "score", "trials", "time", "status"),
        (
            (
                run.id[:8],
                _when(run)[:-3],
                clean(run.task_name, 24),
                f"{_metric(run)} {number(published(_metric(run), run.score))}",
                run.trials,
                duration(run.seconds),
                "" if run.status == "completed" else run.status,
            )
            for run in runs[:limit]
        ),
        right=("trials", "time"),
    )
    if len(runs) > limit:
        say(f"... and {len(runs) - limit} more; see --limit.")


@app.command("show")
def show_(
    run: RunId,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show whole strategies.")] = False,
    experience: options.Place = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Shows a run with all its trials, best first."""
    with options.opened(options.given(experience=experience), writes=False) as remembered:
        found = remembered.run(run)
        trials = remembered.trials(run=found.id)
    weights = {int(number): float(weight) for number, weight in found.summary.get("weights", {}).items()}
    metric = _metric(found)
    if json:
        listed = [trial_json(t, lambda score: published(metric, score), weights.get(t.number, 0.0)) for t in trials]
        show_json({**_as_json(found), "trials": listed})
        return
    settings = ", ".join(f"{name} {value}" for name, value in found.settings.items() if value is not None)
    show_facts(
        [
            ("Run", found.id),
            ("Task", f"{found.task_name} ({found.task})"),
            ("When", _when(found)),
            ("Settings", settings),
            ("Status", ": ".join(filter(None, (found.status, found.summary.get("stop_reason"))))),
            ("Score", f"{metric} {number(published(metric, found.score))}"),
            ("Time", duration(found.seconds)),
            ("Trials", found.trials),
        ]
    )
    ranked = sorted(trials, key=lambda t: (t.score is None, -(t.score or 0.0)))
    show_table(
        ("trial", metric or "score", "share", "time", "status", "strategy" if verbose else "learner", "why"),
        (
            (
                t.number,
                number(published(metric, t.score)),
                f"{weights[t.number]:.0%}" if t.number in weights else "",
                duration(t.cost_s),
                t.status.value,
                t.strategy.describe() if verbose else t.strategy.learner,
                t.error or found.summary.get("reasons", {}).get(str(t.number), ""),
            )
            for t in ranked
        ),
        right=("trial", metric or "score", "share", "time"),
        title="Trials, best first:",
    )


@app.command("rm")
def rm(run: RunId, experience: options.Place = None, json: options.Json = False, debug: options.Debug = False) -> None:
    """Removes a run with its trials; the model file stays."""
    with options.opened(options.given(experience=experience)) as remembered:
        identifier = remembered.run(run).id
        removed = remembered.remove_run(identifier)
    if json:
        show_json({"run": identifier, "removed": removed})
    else:
        show(f"Removed run {identifier}: {counted(removed)}.")


@app.command("export")
def export(
    out: Annotated[
        str | None, typer.Option("--out", metavar="FILE", help="Where it goes; - or nothing: to stdout.")
    ] = None,
    run: Annotated[str | None, typer.Option("--run", metavar="ID", help="One run only.")] = None,
    form: Annotated[
        Literal["jsonl", "csv"] | None, typer.Option("--format", help="As the file's name says, else lines of JSON.")
    ] = None,
    experience: options.Place = None,
    debug: options.Debug = False,
) -> None:
    """Writes all trials of all runs, one a line, as JSON lines or CSV."""
    check_text_output(out)
    chosen = form or ("csv" if out is not None and out.lower().endswith(".csv") else "jsonl")
    with options.opened(options.given(experience=experience), writes=False) as remembered, writing(out) as stream:
        rows = _rows(remembered, run)
        if chosen == "jsonl":
            stream.writelines(json_format.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            return
        writer = csv.DictWriter(stream, _columns(), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            row["strategy"] = json_format.dumps(row["strategy"])
            writer.writerow({name: csv_cell(value) for name, value in row.items()})


def counted(counts: dict[str, int]) -> str:
    """Returns counts as words: 1 runs, 12 trials."""
    return ", ".join(f"{n} {what.replace('_', ' ')}" for what, n in counts.items())


def _rows(remembered: Experience, run: str | None) -> Iterator[dict[str, Any]]:
    chosen = remembered.runs() if run is None else (remembered.run(run),)
    for one in chosen:
        weights = one.summary.get("weights", {})
        for trial in remembered.trials(run=one.id):
            score = published(trial.metric, trial.score)
            told = trial_json(trial, lambda _, score=score: score, float(weights.get(str(trial.number), 0.0)))
            yield json_value({"run": one.id, "task": one.task, "task_name": one.task_name, "when": _when(one), **told})


def _columns() -> list[str]:
    from gstar.strategy import Strategy
    from gstar.trial import Proposal, Status, Trial

    blank = Trial(Proposal(Strategy(""), 0.0, ""), "", Status.FAILED, "", 0, "")
    return ["run", "task", "task_name", "when", *trial_json(blank, float)]


def _metric(run: Run) -> str:
    return str(run.settings.get("metric", ""))


def _when(run: Run) -> str:
    return datetime.datetime.fromtimestamp(run.created, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S")


def _as_json(run: Run) -> dict[str, Any]:
    return {
        "run": run.id,
        "task": run.task,
        "task_name": run.task_name,
        "when": _when(run),
        "status": run.status,
        "metric": _metric(run),
        "score": published(_metric(run), run.score),
        "seconds": run.seconds,
        "n_trials": run.trials,
        "settings": run.settings,
        "summary": run.summary,
    }
