"""scikit-learn's random forest as it comes, after medians for missing numbers and one-hot categories."""

# /// script
# dependencies = ["scikit-learn", "pandas", "pyarrow"]
# ///
from common import Given, run
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder


def fit(given: Given):
    method = RandomForestClassifier if given.is_classification else RandomForestRegressor
    encoder = make_column_transformer(
        (OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=50), given.nominal),
        remainder=SimpleImputer(strategy="median", keep_empty_features=True),
    )
    return make_pipeline(encoder, method(n_jobs=given.n_cores, random_state=given.seed)).fit(given.X, given.y)


run(fit, "scikit-learn")
