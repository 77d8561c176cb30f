"""FLAML's AutoML with a time budget, and the same metric that it will be scored by."""

# /// script
# dependencies = ["flaml[automl]", "pandas", "pyarrow"]
# ///
from common import Given, run
from flaml import AutoML

METRICS = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}


def fit(given: Given) -> AutoML:
    model = AutoML()
    model.fit(
        given.X,
        given.y,
        task="classification" if given.is_classification else "regression",
        metric=METRICS[given.kind],
        time_budget=given.budget_s,
        n_jobs=given.n_cores,
        seed=given.seed,
        verbose=0,
    )
    return model


run(fit, "flaml", chosen=lambda model: str(model.best_estimator))
