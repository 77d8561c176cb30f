"""``gstar meta-train``: lets g learn on a person's own tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gstar.cli import options
from gstar.cli.screen import say, show, show_json

if TYPE_CHECKING:
    from gstar.outer import Progress


def meta_train(
    tasks: Annotated[
        list[str],
        typer.Argument(metavar="TASKS...", help="What `gstar fit` takes, or folders with a manifest.csv."),
    ],
    *,
    target: options.Target = None,
    space: Annotated[
        str | None,
        typer.Option("--space", metavar="S", help="Learners with commas, or a space as JSON. Default: all that fit."),
    ] = None,
    budget: options.Budget = None,
    out: Annotated[str, typer.Option("--out", metavar="FILE", help="Where g goes.")] = "g.safetensors",
    ways: Annotated[
        str, typer.Option("--ways", metavar="N,M", help="Cut tasks of many classes into tasks of so many.")
    ] = "",
    episodes: Annotated[
        int,
        typer.Option("--episodes", metavar="N", min=0, help="How many to cut from each."),
    ] = 0,
    rows: Annotated[int, typer.Option("--rows", metavar="N", min=20, help="At most so many rows per task.")] = 500,
    trial: Annotated[str, typer.Option("--trial", metavar="TIME", help="Time for one training.")] = "20s",
    estimator: Annotated[
        str, typer.Option("--estimator", metavar="NAME", help="How the gradient is estimated.")
    ] = "leave_one_out",
    plot: Annotated[bool, typer.Option("--plot", help="Draw FILE.png and FILE.html at the end.")] = False,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Seed of everything random.")] = 0,
    experience: options.Place = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Learns by the policy gradient which strategies suit which task, from models that are trained now.

    It goes on where it stood when it is started again with the same tasks and options.

    Example: gstar meta-train tables --space linear,lightgbm,mlp --budget 30m --out g.safetensors
    """
    from dataclasses import replace

    from gstar.cli.files import check_model_output
    from gstar.metatraining import default_settings, episodes_of, read_tasks, read_trace, space_of
    from gstar.metatraining import meta_train as learn
    from gstar.settings import read_duration_s

    settings = options.given(budget=budget, experience=experience)
    path = Path(out)
    check_model_output(path)
    sizes = _numbers(ways)
    families = episodes_of(read_tasks(tasks, target=target), ways=sizes, rows=rows, n=episodes, seed=seed)
    how = default_settings(seed)
    how = replace(how, estimator=estimator, reuse=how.reuse if estimator == "leave_one_out" else 0)
    with options.opened(settings, tell_first_use=True) as remembered:
        learned = learn(
            families,
            space_of(space, [f.task for f in families]),
            out=path,
            budget_s=settings.budget_s or 60.0,
            trial_s=read_duration_s(trial),
            settings=how,
            experience=remembered,
            listener=_tell,
        )
    lines = read_trace(path)
    drawn = _drawn(path, lines) if plot else []
    about = dict(learned.about)
    if json:
        chances = lines[-1]["chances"] if lines else {}
        show_json({**about, "out": str(path), "chances": chances, "plots": [str(p) for p in drawn]})
        return
    show(
        f"{about['trials']} trials on {about['tasks']} tasks, {about['iterations']} iterations: {about['stop_reason']}"
    )
    for form, shares in lines[-1]["chances"].items() if lines else ():
        best = sorted(shares.items(), key=lambda item: -item[1])[:4]
        show(f"  on {form}: " + ", ".join(f"{name} {share:.2f}" for name, share in best))
    show(f"Wrote {path}; use it with: gstar fit DATA --policy gradient:{path}")
    for picture in drawn:
        show(f"Drew {picture}")


def _tell(progress: Progress) -> None:
    say(
        f"iteration {progress.iteration}: reward {progress.reward:.3f} ± {progress.reward_error:.3f}, "
        f"entropy {progress.entropy:.2f}, {progress.n_trainings} trials ({progress.n_failed} failed)"
    )


def _drawn(path: Path, lines: Sequence[Mapping[str, Any]]) -> list[Path]:
    from gstar.plots import draw_trace

    return draw_trace(lines, path.with_name(path.name + ".png"), title=f"Meta-training of {path.name}")


def _numbers(text: str) -> list[int]:
    from gstar.errors import UsageError

    try:
        found = [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        found = [0]
    if any(n < 2 for n in found):
        raise UsageError(f"Expected numbers of classes, 2 or more, with commas, got --ways {text!r}.")
    return found
