"""LightGBM as it comes; it reads pandas categories and missing cells itself."""

# /// script
# dependencies = ["lightgbm", "pandas", "pyarrow", "scikit-learn"]
# ///
from common import Given, plain_names, run
from lightgbm import LGBMClassifier, LGBMRegressor


class Model:
    def __init__(self, given: Given):
        method = LGBMClassifier if given.is_classification else LGBMRegressor
        self.model = method(n_jobs=given.n_cores, random_state=given.seed, verbose=-1)
        self.model.fit(plain_names(given.X), given.y)
        self.classes_ = getattr(self.model, "classes_", None)

    def predict(self, X):
        return self.model.predict(plain_names(X))

    def predict_proba(self, X):
        return self.model.predict_proba(plain_names(X))


run(Model, "lightgbm")
