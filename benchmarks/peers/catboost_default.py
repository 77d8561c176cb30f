"""CatBoost as it comes, with its native handling of categories; a missing category is one more category."""

# /// script
# dependencies = ["catboost", "pandas", "pyarrow", "scikit-learn"]
# ///
from catboost import CatBoostClassifier, CatBoostRegressor
from common import Given, run


class Model:
    def __init__(self, given: Given):
        method = CatBoostClassifier if given.is_classification else CatBoostRegressor
        self.nominal = given.nominal
        self.model = method(
            thread_count=given.n_cores,
            random_seed=given.seed,
            cat_features=self.nominal,
            verbose=False,
            allow_writing_files=False,
        )
        self.model.fit(self.prepare(given.X), given.y)
        self.classes_ = getattr(self.model, "classes_", None)

    def prepare(self, X):
        columns = {c: X[c].astype(object).where(X[c].notna(), "missing").astype(str) for c in self.nominal}
        return X.assign(**columns)

    def predict(self, X):
        return self.model.predict(self.prepare(X))

    def predict_proba(self, X):
        return self.model.predict_proba(self.prepare(X))


run(Model, "catboost")
