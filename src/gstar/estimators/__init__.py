"""scikit-learn estimators: `GstarClassifier` and `GstarRegressor`."""

from gstar.estimators.classifier import GstarClassifier
from gstar.estimators.regressor import GstarRegressor

__all__ = ["GstarClassifier", "GstarRegressor"]
