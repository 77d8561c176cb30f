"""gstar within a budget, with no experience of its own and knowledge that leaves the table's family out."""

# /// script
# dependencies = ["gstar[boost,frames]"]
# ///
import os
from pathlib import Path

from common import Given, run

from gstar import Experience, GstarClassifier, GstarRegressor


def fit(given: Given):
    method = GstarClassifier if given.is_classification else GstarRegressor
    return method(budget_s=given.budget_s, random_state=given.seed).fit(given.X, given.y)


def chosen(model) -> str:
    failed = len(model.failures_)
    return f"{len(model.leaderboard_)} models, {failed} failed; {model.search_.stop_reason}"


def check_knowledge() -> None:
    """Refuses to run with knowledge of the very tables it is measured on."""
    wanted = os.environ["GSTAR_SHIPPED"]
    with Experience.open(mode="off") as experience:
        if experience.shipped != (None if wanted == "off" else Path(wanted)):
            raise SystemExit(f"Expected the knowledge {wanted}, but gstar uses {experience.shipped}.")


check_knowledge()
run(fit, "gstar", chosen=chosen)
