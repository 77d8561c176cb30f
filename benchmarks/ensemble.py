"""How to combine models on few or many validation rows: best single, average, greedy, guarded greedy.

OMP_NUM_THREADS=2 python benchmarks/ensemble.py DATA

On each table 16 models are trained on 1,000 rows. V other rows choose the weights, the rest
measures them. A gain of 0 is the best single model in hindsight, -1 the median one; above 0 is
what only a combination reaches. Predictions are kept in benchmarks/work, so that a second
run takes seconds.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from gstar.ensemble import greedy, select
from gstar.metric import METRICS, Metric

TABLES = {
    "crash_deaths": ("roc_auc", "log_loss"),
    "health_insurance": ("roc_auc", "log_loss"),
    "lending_club": ("roc_auc", "log_loss"),
    "twonorm": ("roc_auc", "log_loss"),
    "nursery": ("log_loss",),
    "pendigits": ("log_loss", "accuracy"),
    "portal_species": ("log_loss",),
    "cal_housing": ("rmse", "mae"),
    "fried": ("rmse",),
    "house8l": ("rmse",),
    "deliveries": ("rmse", "mae"),
    "bank32nh": ("rmse",),
}
TRAIN_ROWS, REPEATS, MODELS, SIZES = 1_000, 8, 16, (50, 200, 1_000, 5_000)
WORK = Path(__file__).parent / "work" / "ensemble"


def models(is_classification: bool) -> list[object]:
    """16 models of six families, good ones and bad ones, as a search leaves them."""
    from lightgbm import LGBMClassifier, LGBMRegressor
    from sklearn import ensemble, linear_model, naive_bayes, neighbors, pipeline, preprocessing, svm, tree

    def pick(name: str) -> str:
        return name + ("Classifier" if is_classification else "Regressor")

    def scaled(model: object) -> object:
        return pipeline.make_pipeline(preprocessing.StandardScaler(), model)

    booster = LGBMClassifier if is_classification else LGBMRegressor
    forest, extra = getattr(ensemble, pick("RandomForest")), getattr(ensemble, pick("ExtraTrees"))
    near, one = getattr(neighbors, pick("KNeighbors")), getattr(tree, pick("DecisionTree"))
    quiet = {"verbose": -1, "n_jobs": 1, "random_state": 0}
    found = [
        booster(n_estimators=100, **quiet),
        booster(n_estimators=300, learning_rate=0.03, num_leaves=8, **quiet),
        booster(n_estimators=200, learning_rate=0.05, num_leaves=15, colsample_bytree=0.5, **quiet),
        booster(n_estimators=60, learning_rate=0.2, num_leaves=31, **quiet),
        booster(n_estimators=150, extra_trees=True, min_child_samples=5, **quiet),
        forest(100, random_state=0),
        forest(100, max_features=0.5, min_samples_leaf=5, random_state=0),
        extra(100, random_state=0),
        extra(100, max_features=1.0, min_samples_leaf=3, random_state=0),
        scaled(near(5)),
        scaled(near(30, weights="distance")),
        one(max_depth=5, random_state=0),
        one(random_state=0),
    ]
    if is_classification:
        found += [
            scaled(linear_model.LogisticRegression(max_iter=300)),
            scaled(svm.SVC(probability=True, random_state=0)),
            scaled(naive_bayes.GaussianNB()),
        ]
    else:
        found += [scaled(linear_model.Ridge(1.0)), scaled(svm.SVR(C=10.0)), scaled(linear_model.Lasso(0.1))]
    return found


def predictions(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """``(M, N, C)`` or ``(M, N)`` predictions on the rows that did not train, and their ``(N,)`` target."""
    WORK.mkdir(parents=True, exist_ok=True)
    kept = WORK / f"{name}.npz"
    if not kept.exists():
        np.savez(kept, **dict(zip(("stack", "target"), trained(folder, name), strict=True)))
    with np.load(kept) as arrays:
        return arrays["stack"], arrays["target"]


def trained(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    frame = pd.read_parquet(folder / "tasks" / f"{name}.parquet").sample(frac=1.0, random_state=0)[:20_000]
    target = frame.iloc[:, -1]
    is_classification = not pd.api.types.is_numeric_dtype(target)
    if is_classification:
        frame = frame[target.isin(target.value_counts().index[:20])]
        y = pd.factorize(frame.iloc[:, -1].astype(str))[0]
    else:
        y = (target.to_numpy(float) - target.mean()) / target.std()
    X = frame.iloc[:, :-1]
    X = X.apply(lambda c: c if pd.api.types.is_numeric_dtype(c) else c.cat.codes).astype(float)
    X = X.fillna(X.median()).fillna(0.0).to_numpy()
    part = slice(None, TRAIN_ROWS)
    columns = np.unique(y) if is_classification else None
    stack = []
    for model in models(is_classification):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(X[part], y[part])
            if columns is None:
                stack.append(model.predict(X[TRAIN_ROWS:]))
            else:
                whole = np.zeros((len(X) - TRAIN_ROWS, len(columns)))
                whole[:, np.searchsorted(columns, model.classes_)] = model.predict_proba(X[TRAIN_ROWS:])
                stack.append(whole)
    return np.stack(stack), y[TRAIN_ROWS:]


Method = Callable[[np.ndarray, np.ndarray, Metric, int], np.ndarray]


def top(k: int) -> Method:
    def choose(stack: np.ndarray, target: np.ndarray, metric: Metric, seed: int) -> np.ndarray:
        order = np.argsort([-metric.score(target, p) for p in stack], kind="stable")[:k]
        return np.bincount(order, minlength=len(stack)) / k

    return choose


METHODS: Mapping[str, Method] = {
    "best single": top(1),
    "mean of best 3": top(3),
    "mean of best 5": top(5),
    "mean of all": top(MODELS),
    "greedy": lambda stack, target, metric, seed: greedy(stack, target, metric),
    "gstar": lambda stack, target, metric, seed: select(list(stack), target, metric, seed=seed),
}


def gains(folder: Path, methods: Mapping[str, Method]) -> pd.DataFrame:
    """One row per table, metric, V, repeat and method."""
    rows = []
    for name, metrics in TABLES.items():
        stack, target = predictions(folder, name)
        for metric in (METRICS[m] for m in metrics):
            for size in SIZES:
                for repeat in range(REPEATS):
                    order = np.random.default_rng([repeat, size]).permutation(len(target))
                    valid, query = order[:size], order[size:]
                    single = np.array([metric.score(target[query], p[query]) for p in stack])
                    scale = single.max() - np.median(single)
                    for method, choose in methods.items():
                        start = time.perf_counter()
                        weights = choose(stack[:, valid], target[valid], metric, repeat)
                        seconds = time.perf_counter() - start
                        blend = np.tensordot(weights, stack[:, query], axes=1)
                        gain = (metric.score(target[query], blend) - single.max()) / scale
                        rows.append((name, metric.name, size, repeat, method, gain, seconds, int((weights > 0).sum())))
    return pd.DataFrame(rows, columns=["table", "metric", "V", "repeat", "method", "gain", "seconds", "models"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    found = gains(parser.parse_args().folder, METHODS)
    print(f"gain, mean over {len(TABLES)} tables and {REPEATS} repeats, -1.5 at worst")
    clipped = found.assign(gain=found["gain"].clip(lower=-1.5))
    cells = clipped.groupby(["table", "metric", "V", "method"])["gain"].mean().reset_index()
    order = list(METHODS)
    print(cells.pivot_table(index="method", columns="V", values="gain").loc[order].round(3).to_string())
    print("\nmean rank (1 = best)")
    cells["rank"] = cells.groupby(["table", "metric", "V"])["gain"].rank(ascending=False)
    print(cells.pivot_table(index="method", columns="V", values="rank").loc[order].round(2).to_string())
    print("\nmodels in the ensemble, and seconds to choose them")
    print(found.pivot_table(index="method", columns="V", values="models").loc[order].round(1).to_string())
    print(found.pivot_table(index="method", columns="V", values="seconds").loc[order].round(4).to_string())


if __name__ == "__main__":
    main()
