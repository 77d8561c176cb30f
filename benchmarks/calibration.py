"""From how many validation rows on a temperature helps, and which rule does no harm.

OMP_NUM_THREADS=1 python benchmarks/calibration.py DATA

The models and tables are those of ensemble.py. V rows choose the ensemble and its
temperature; 3,000 others measure the log-loss before and after.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from ensemble import TABLES, predictions

from gstar import calibration
from gstar.calibration import apply_temperature, fit_temperature
from gstar.ensemble import select
from gstar.metric import METRICS

SIZES, REPEATS, QUERY_ROWS = (50, 100, 200, 300, 500, 1_000, 2_000, 4_000), 6, 3_000
LOG_LOSS = METRICS["log_loss"]


def temperatures(blend: np.ndarray, target: np.ndarray) -> dict[str, float]:
    calibration.LEAST_ROWS = 0
    return {"always": calibration._minimise(blend, target, None), "if it helps": fit_temperature(blend, target)}


def gains(folder: Path) -> pd.DataFrame:
    """Change of the score by each rule, times 1,000; higher is better."""
    rows = []
    for name, metrics in TABLES.items():
        if "log_loss" not in metrics:
            continue
        stack, target = predictions(folder, name)
        for chosen_by in {"log_loss", metrics[0]}:
            for size in SIZES:
                for repeat in range(REPEATS):
                    order = np.random.default_rng([repeat, size]).permutation(len(target))
                    valid, query = order[:size], order[size : size + QUERY_ROWS]
                    weights = select(list(stack[:, valid]), target[valid], METRICS[chosen_by], seed=repeat)
                    blends = [np.tensordot(weights, stack[:, part], axes=1) for part in (valid, query)]
                    before = LOG_LOSS.score(target[query], blends[1])
                    for rule, temperature in temperatures(blends[0], target[valid]).items():
                        after = LOG_LOSS.score(target[query], apply_temperature(blends[1], temperature))
                        rows.append((name, chosen_by, size, rule, 1000 * (after - before)))
    return pd.DataFrame(rows, columns=["table", "chosen by", "V", "rule", "gain"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    found = gains(parser.parse_args().folder)
    print("gain in log-loss x 1000, mean over tables and repeats")
    print(found.pivot_table(index=["chosen by", "rule"], columns="V", values="gain").round(2).to_string())
    print("\nworst table")
    each = found.groupby(["rule", "V", "table"])["gain"].mean()
    print(each.groupby(["rule", "V"]).min().unstack().round(2).to_string())


if __name__ == "__main__":
    main()
