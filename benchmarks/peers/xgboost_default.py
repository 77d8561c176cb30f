"""XGBoost as it comes, with its native handling of pandas categories; labels become codes."""

# /// script
# dependencies = ["xgboost-cpu", "pandas", "pyarrow", "scikit-learn"]
# ///
import numpy as np
from common import Given, plain_names, run
from xgboost import XGBClassifier, XGBRegressor


class Model:
    def __init__(self, given: Given):
        method = XGBClassifier if given.is_classification else XGBRegressor
        self.model = method(n_jobs=given.n_cores, random_state=given.seed, enable_categorical=True)
        y = given.y
        if given.is_classification:
            self.classes_, y = np.unique(given.y, return_inverse=True)
        self.model.fit(plain_names(given.X), y)

    def predict(self, X):
        return self.model.predict(plain_names(X))

    def predict_proba(self, X):
        return self.model.predict_proba(plain_names(X))


run(Model, "xgboost-cpu")
