"""``gstar meta-train``: lets g learn on a person's own tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gstar.cli import options
from gstar.cli.interrupts import Interrupts
from gstar.cli.screen import say, show, show_json

if TYPE_CHECKING:
    from gstar.families import Family
    from gstar.outer import OuterSettings, Progress
    from gstar.settings import Settings
    from gstar.space import Space

DEFAULT_S: Final = 60.0


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
    iterations: Annotated[
        int | None,
        typer.Option("--iterations", metavar="N", min=1, help="How many in all, instead of a time; repeats exactly."),
    ] = None,
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
    workers: Annotated[
        int | None,
        typer.Option("--workers", metavar="N", min=1, help="Trainings side by side. Default: one per core."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Seed of everything random.")] = 0,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress.")] = False,
    experience: options.Place = None,
    weights: options.Room = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Learns by the policy gradient which strategies suit which task, from models that are trained now.

    It goes on where it stood when it is started again with the same tasks and options.

    Example: gstar meta-train tables --space linear,lightgbm,mlp --budget 30m --out g.safetensors
    """
    from gstar.families import episodes_of, read_tasks, space_of
    from gstar.metatraining import default_settings
    from gstar.settings import read_duration_s
    from gstar.trace import read_trace

    settings = options.given(budget=budget, experience=experience, weights=weights)
    path = Path(out)
    _check_output(path)
    if plot:
        from gstar.plots import check_installed

        check_installed()
    how = default_settings(seed, estimator=estimator, **({"iterations": iterations} if iterations else {}))
    budget_s = read_duration_s(budget) if budget else None if iterations else settings.budget_s or DEFAULT_S
    limits = {"budget_s": budget_s, "trial_s": read_duration_s(trial), "workers": workers}
    families = episodes_of(read_tasks(tasks, target=target), ways=_numbers(ways), rows=rows, n=episodes, seed=seed)
    tree = space_of(space, [family.task for family in families])
    with Interrupts() as interrupts:
        about = _learn(
            families, tree, path, settings=settings, interrupts=interrupts, quiet=quiet, how=how, limits=limits
        )
        lines = read_trace(path)
        _report(about, lines, _drawn(path, lines) if plot and lines else [], json=json)
    if interrupts.exit_code:
        raise typer.Exit(interrupts.exit_code)


def _learn(
    families: Sequence[Family],
    tree: Space,
    path: Path,
    *,
    settings: Settings,
    interrupts: Interrupts,
    quiet: bool,
    how: OuterSettings,
    limits: Mapping[str, Any],
) -> dict[str, Any]:
    """Lets g learn and writes it; returns what it says of itself, and where it is."""
    from gstar.metatraining import meta_train
    from gstar.trace import checkpoint_of

    opened = options.opened(settings, tell_first_use=True, keeps_weights=False)
    with opened as remembered, options.warnings_told():
        if not quiet:
            goes_on = " (goes on where it stood)" if checkpoint_of(path).exists() else ""
            say(f"{len(families)} tasks, {how.tasks} x {how.strategies} trials an iteration{goes_on}")
        interrupts.searching = True
        learned = meta_train(
            families,
            tree,
            out=path,
            settings=how,
            experience=remembered,
            weights=remembered.weights if settings["weights"] else None,
            listener=(lambda _: None) if quiet else _tell,
            **limits,
        )
        interrupts.searching = False
    return {**learned.about, "out": str(path)}


def _report(about: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], drawn: Sequence[Path], *, json: bool) -> None:
    chances, begun = (lines[-1].get(what, {}) if lines else {} for what in ("chances", "init"))
    if json:
        show_json({**about, "chances": chances, "init": begun, "plots": [str(picture) for picture in drawn]})
        return
    show(
        f"{about['trials']} trials on {about['tasks']} tasks, {about['iterations']} iterations: {about['stop_reason']}"
    )
    for form, shares in chances.items():
        show(f"  on {form}: {_shares_line(shares)}")
    if begun:
        show(f"  networks that can begin with remembered weights: {_shares_line(begun)}")
    with_weights = " --weights on" if begun else ""
    show(f"Wrote {about['out']}; use it with: gstar fit DATA --policy gradient:{about['out']}{with_weights}")
    for picture in drawn:
        show(f"Drew {picture}")


def _shares_line(shares: Mapping[str, float]) -> str:
    best = sorted(shares.items(), key=lambda item: -item[1])[:4]
    return ", ".join(f"{name} {share:.2f}" for name, share in best)


def _check_output(path: Path) -> None:
    """Makes sure that g can be written, and that nothing but an older g is replaced."""
    from gstar.cli.files import check_output
    from gstar.errors import GstarError, UsageError
    from gstar.learned import Learned

    check_output(path)
    if path.exists() and path.stat().st_size:
        try:
            Learned.load(path)
        except GstarError as error:
            raise UsageError(f"{path} exists and is no g; it would be lost. Choose another name for --out.") from error


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
