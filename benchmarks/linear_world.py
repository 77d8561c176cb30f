"""Runs the linear world over corners and seeds, and prints how often g finds the best ridge strength.

    python benchmarks/linear_world.py --seeds 20
    python benchmarks/linear_world.py --seeds 3 --variants corrupted context drift --corners 2

A run counts as good if its expected loss is within 1 % of the optimum's, and for the plain variant
|log lambda - log lambda*| < 0.5.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "examples"))

from linear_world import VARIANTS, World, settings_for, variances  # noqa: E402

CORNERS = (
    World(1.0, 1.0, 20, 5),
    World(0.3, 1.0, 20, 5),
    World(3.0, 1.0, 20, 5),
    World(1.0, 0.3, 10, 10),
    World(1.0, 1.0, 8, 20),
    World(3.0, 0.3, 20, 3),
    World(0.1, 3.0, 5, 5),
    World(1.0, 1.0, 10, 1),
    World(1.0, 1.0, 500, 5),
    World(1.0, 1.0, 200, 2),
    World(1.0, 1.0, 100, 1),
    World(1.0, 1.0, 1000, 10),
    World(1.0, 1.0, 50, 50),
    World(1.0, 1.0, 5, 50),
    World(0.01, 1.0, 500, 5),
    World(100.0, 1.0, 20, 5),
    World(0.01, 1.0, 5, 50),
    World(0.01, 1.0, 1, 1),
    World(0.1, 1.0, 50, 50),
)
"""Sigma and tau near and far apart, few rows and many, one feature and many, as many as rows, and more."""


def run(variant: str, world: World, estimator: str, seed: int) -> dict[str, Any]:
    """One run; its CPU seconds are those of this process alone."""
    begin = time.process_time()
    found = VARIANTS[variant](world, settings_for(estimator, seed, world))
    return found | {"cpu_s": time.process_time() - begin, "variant": variant, "seed": seed, **vars_of(world)}


def vars_of(world: World) -> dict[str, Any]:
    return {name: getattr(world, name) for name in ("sigma", "tau", "n", "d")}


def line(variant: str, world: World, rows: list[dict[str, Any]]) -> str:
    """One line of the table."""
    excess = [r["loss_learned"] / r["loss_optimal"] - 1 for r in rows]
    ratio = [abs(float(np.log(r["lambda_learned"] / r["lambda_optimal"]))) for r in rows]
    good = sum(e < 0.01 and (variant != "base" or q < 0.5) for e, q in zip(excess, ratio, strict=True))
    extra = {
        "base": "",
        "corrupted": f"lambda alone {rows[0].get('loss_lambda_alone', 0) / rows[0]['loss_optimal'] - 1:.1%} left out "
        + " ".join(f"{r.get('left_out_learned', 0):.1%}" for r in rows),
        "context": "gained " + " ".join(f"{r.get('share_gained', 0):.0%}" for r in rows),
        "drift": "single "
        + " ".join(f"{r.get('loss_single', 0) / r['loss_optimal'] - 1:.1%}" for r in rows)
        + " mean log error "
        + " ".join(f"{r.get('mean_log_error', 0):.2f} ({r.get('mean_log_error_single', 0):.2f})" for r in rows),
    }[variant]
    place = f"{world.sigma:g} {world.tau:g} {world.n} {world.d}"
    stops = " ".join(f"{s} {[r['stop_reason'] for r in rows].count(s)}" for s in {r["stop_reason"] for r in rows})
    return (
        f"{variant:10}{place:16}{good:4d} of {len(rows):<4d}{np.median(excess):9.2%}{max(excess):9.2%}"
        f"{np.median(ratio):8.2f}{max(ratio):8.2f}{np.median([r['n_inner_trainings'] for r in rows]):10.0f}"
        f"{np.median([r['cpu_s'] for r in rows]):8.1f}{max(r['cpu_s'] for r in rows):8.1f}  {stops} {extra}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--variants", nargs="*", default=["base"], choices=VARIANTS)
    parser.add_argument("--estimator", default="leave_one_out")
    parser.add_argument("--corners", type=int, default=len(CORNERS), help="the first so many")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--variances", action="store_true", help="also compare the estimators' variances")
    parser.add_argument("--out", type=Path, help="append each run to this file, and do not repeat those in it")
    given = parser.parse_args()
    known = [json.loads(t) for t in given.out.read_text().splitlines()] if given.out and given.out.exists() else []
    print(
        f"{'variant':10}{'sigma tau n d':16}{'good':>12}{'excess':>9}{'worst':>9}{'|log|':>8}{'worst':>8}"
        f"{'trainings':>10}{'CPU s':>8}{'worst':>8}"
    )
    with ProcessPoolExecutor(given.workers) as pool:
        for variant in given.variants:
            for world in CORNERS[: given.corners]:
                key = {"variant": variant, **vars_of(world)}
                rows = [r for r in known if key.items() <= r.items() and r["seed"] < given.seeds]
                seeds = sorted(set(range(given.seeds)) - {r["seed"] for r in rows})
                n = len(seeds)
                for row in pool.map(run, [variant] * n, [world] * n, [given.estimator] * n, seeds):
                    rows.append(row)
                    if given.out:
                        with given.out.open("a") as file:
                            file.write(json.dumps(row, default=float) + "\n")
                print(line(variant, world, rows), flush=True)
    if given.variances:
        for name, row in variances(World(), settings_for("leave_one_out", 0, World()))["variances"].items():
            print(
                f"{name:16}"
                + "".join(f"{row[k]:12.3g}" for k in ("start", "start_relative", "optimum", "optimum_relative"))
            )


if __name__ == "__main__":
    main()
