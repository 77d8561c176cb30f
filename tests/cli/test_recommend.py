"""What would be tried, without training."""

import json

import pytest

from tests.cli.conftest import table


@pytest.fixture(autouse=True)
def train(place):
    table(place / "train.csv")


def test_ranked_strategies_with_score_time_and_reason(gstar, place):
    outcome = gstar("recommend", "train.csv", "--target", "y", "--top", 3)
    lines = outcome.out.splitlines()
    assert outcome.code == 0
    assert lines[0].split() == ["rank", "learner", "score", "+-", "time", "why"]
    assert [line.split()[0] for line in lines[1:4]] == ["1", "2", "3"]
    assert "predicted roc_auc" in lines[-1]
    assert not (place / "model.gstar").exists()
    assert not (place.parent / "home").exists()


def test_as_json(gstar):
    told = json.loads(gstar("recommend", "train.csv", "--target", "y", "--top", 2, "--json").out)
    assert [one["rank"] for one in told] == [1, 2]
    assert all(one["predicted_seconds"] > 0 and one["reason"] for one in told)
    assert told[0]["strategy"] != told[1]["strategy"]


def test_only_the_learners_that_are_wanted(gstar):
    told = json.loads(gstar("recommend", "train.csv", "--target", "y", "--learners", "linear", "--json").out)
    assert {one["strategy"]["learner"] for one in told} == {"linear"}


def test_nothing_to_propose_is_said(gstar):
    outcome = gstar("recommend", "train.csv", "--target", "y", "--learners", "constant")
    assert outcome.code == 2
    assert "nothing to propose with these learners" in outcome.error


def test_wrong_target(gstar):
    outcome = gstar("recommend", "train.csv", "--target", "colours")
    assert outcome.code == 3
    assert "Did you mean 'colour'?" in outcome.error
