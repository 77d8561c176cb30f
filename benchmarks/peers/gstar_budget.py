"""gstar within a budget, with no experience of its own and knowledge that leaves the table's family out.

``GSTAR_SHIPPED`` names the file with that knowledge, or is ``off``.
"""

# /// script
# dependencies = ["gstar[boost,frames]"]
# ///
import os
from pathlib import Path

from common import Given, run

from gstar import Experience, GstarClassifier, GstarRegressor


def fit(given: Given):
    method = GstarClassifier if given.is_classification else GstarRegressor
    knowledge = os.environ["GSTAR_SHIPPED"]
    with Experience.open(mode="off") as experience:
        experience.shipped = None if knowledge == "off" else Path(knowledge)
        model = method(budget_s=given.budget_s, random_state=given.seed, experience=experience)
        return model.fit(given.X, given.y)


def chosen(model) -> str:
    used = model.leaderboard_.query("weight > 0")["learner"].value_counts()
    tried = f"{len(model.leaderboard_)} tried, {len(model.failures_)} failed"
    return f"{', '.join(f'{n} {name}' for name, n in used.items())} ({tried}; {model.result_.stop_reason})"


run(fit, "gstar", chosen=chosen)
