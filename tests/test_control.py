"""What a controller sees and decides; its file; and what becomes of a training that it controls."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save

from gstar import control
from gstar.control import DECISIONS, GO_ON, POINTS, SEEN, Controller, Decision, Observation, get_controller
from gstar.errors import StorageError, UntrustedFileError, UsageError
from gstar.executors import SerialExecutor
from gstar.fitting import Fitting
from gstar.inner import fit_one, run_inner
from gstar.learner import get_learner
from gstar.metric import METRICS, TaskKind
from gstar.strategy import Strategy
from gstar.task import Task
from gstar.trial import Status
from tests.small_training import make_rows, make_spec

SIGHT = Observation(0.5, 0.4, 0.6, 0.5, -1.0, 0.2, 0.1, 0.2, 0.3, False, True, 0.8, 0.5, 1.0, False, False, 120.0, 200)


def fit(**schedule):
    return fit_one(get_learner("mlp"), *make_rows(), make_spec(**schedule), loss="log_loss", deadline=None)


def make_file(tmp_path, name):
    path = tmp_path / f"{name}.safetensors"
    Controller.always(name).save(path)
    return str(path)


def test_the_vector_has_a_name_for_each_number_and_stays_within_bounds():
    assert SIGHT.vector.shape == (len(SEEN),)
    wild = replace(SIGHT, support_loss=np.inf, valid_slope=-np.inf, support_slope=np.nan, rate=0.0, planned_steps=1e30)
    assert np.isfinite(wild.vector).all()
    assert np.abs(wild.vector).max() <= 3.0
    assert Observation.of_json(json.loads(json.dumps(SIGHT.to_json()))).vector.tolist() == SIGHT.vector.tolist()


def test_every_field_is_seen():
    for name, value in SIGHT.to_json().items():
        other = replace(SIGHT, **{name: not value if isinstance(getattr(SIGHT, name), bool) else 1.1 * value + 0.01})
        assert not np.array_equal(other.vector, SIGHT.vector), name


def test_decisions_are_drawn_with_the_probability_they_tell():
    controller = Controller.always("slower", certainty=1.0)
    rng = np.random.default_rng(0)
    drawn = [controller.decide(SIGHT, rng) for _ in range(600)]
    for decision in DECISIONS:
        told = {log_prob for found, log_prob in drawn if found is decision}
        share = np.mean([found is decision for found, _ in drawn])
        assert len(told) == 1
        assert share == pytest.approx(np.exp(told.pop()), abs=0.06)
    assert controller.decide(SIGHT)[0].name == "slower"
    again = np.random.default_rng(0)
    assert [controller.decide(SIGHT, again) for _ in range(600)] == drawn


def test_a_controller_decides_by_what_it_sees():
    g = control.controller_distribution()
    meta = np.zeros(g.size)
    weights = meta[len(DECISIONS) :].reshape(len(SEEN), len(DECISIONS))
    weights[SEEN.index("progress"), [d.name for d in DECISIONS].index("stop")] = 5.0
    controller = Controller(g, meta)
    assert controller.decide(replace(SIGHT, progress=0.9))[0].stop
    assert not controller.decide(replace(SIGHT, progress=0.1))[0].stop


def test_a_file_comes_back_as_it_was(tmp_path):
    g = control.controller_distribution(hidden=3)
    meta = np.random.default_rng(0).standard_normal(g.size)
    Controller(g, meta, {"states": 7}).save(tmp_path / "c.safetensors")
    found = Controller.load(tmp_path / "c.safetensors")
    assert found.about == {"states": 7}
    assert found.g.hidden == 3
    np.testing.assert_array_equal(found.meta, meta)
    assert [p.name for p in tmp_path.iterdir()] == ["c.safetensors"]


def described(**changes):
    whole = {
        "decisions": [[d.name, d.rate_factor, d.drop_share, d.balance, d.stop] for d in DECISIONS],
        "points": POINTS,
        "seen": SEEN,
        "hidden": 0,
        "about": {},
    }
    return {"format": "gstar-controller-1", "controller": json.dumps(whole | changes)}


SIZE = control.controller_distribution().size


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", UntrustedFileError),
        (b"\x80\x04pickled", UntrustedFileError),
        (save({"meta": np.zeros(SIZE)}), UntrustedFileError),
        (save({"other": np.zeros(SIZE)}, described()), UntrustedFileError),
        (save({"meta": np.zeros(SIZE)}, {**described(), "format": "gstar-g-1"}), UntrustedFileError),
        (save({"meta": np.zeros(SIZE)}, {**described(), "controller": "[1]"}), UntrustedFileError),
        (save({"meta": np.zeros(SIZE - 1)}, described()), UntrustedFileError),
        (save({"meta": np.full(SIZE, np.nan)}, described()), UntrustedFileError),
        (save({"meta": np.zeros(SIZE)}, described(hidden=10**12)), UntrustedFileError),
        (save({"meta": np.zeros(2**18)}, described()), UntrustedFileError),
        (save({"meta": np.zeros(SIZE)}, described())[:-8], UntrustedFileError),
        (save({"meta": np.zeros(SIZE)}, described(seen=["other"])), UsageError),
        (save({"meta": np.zeros(SIZE)}, described(points=[0.5])), UsageError),
    ],
)
def test_a_damaged_or_foreign_file_is_refused(tmp_path, content, error):
    path = tmp_path / "c.safetensors"
    path.write_bytes(content)
    with pytest.raises(error, match=r"c\.safetensors"):
        Controller.load(path)


def test_a_name_that_leads_nowhere_is_refused(tmp_path):
    assert get_controller("none") is None
    with pytest.raises(StorageError, match="could not be read"):
        get_controller(str(tmp_path / "absent.safetensors"))
    with pytest.raises(UsageError, match="Expected control 'none', 'learned'"):
        get_controller("learnt")


def test_the_controller_in_the_package_balances_where_one_of_two_classes_is_rare():
    controller = get_controller("learned")
    early = Observation(
        0.25, 0.6, 0.6, 0.6, -1.0, -1.0, 0.0, 0.1, 0.86, False, True, 1.0, 1.0, 1.0, False, False, 160, 300
    )
    assert controller.about["families"] > 0
    assert controller.decide(early)[0].name == "balance"
    assert controller.decide(replace(early, imbalance=0.0))[0] is GO_ON
    assert controller.decide(replace(early, imbalance=0.5, is_binary=False))[0] is GO_ON


def test_control_as_learned_takes_part_in_a_training():
    mine = fit(control="learned")
    assert np.isfinite(mine[1]).all()
    assert not np.array_equal(mine[1], fit()[1])


def test_without_control_nothing_changes():
    plain, none = fit(), fit(control="none")
    np.testing.assert_array_equal(plain[1], none[1])
    assert plain[0].steps == none[0].steps


def test_always_going_on_is_the_same_as_no_control(tmp_path):
    np.testing.assert_array_equal(fit(control=make_file(tmp_path, "go_on"))[1], fit()[1])


@pytest.mark.parametrize("name", [d.name for d in DECISIONS if d is not GO_ON])
def test_decisions_change_the_training_and_repeat_by_seed(tmp_path, name):
    path = make_file(tmp_path, name)
    once, again = fit(control=path), fit(control=path)
    np.testing.assert_array_equal(once[1], again[1])
    assert once[0].steps == again[0].steps


def test_a_controller_that_stops_leaves_the_best_state_so_far(tmp_path):
    state, prediction = fit(control=make_file(tmp_path, "stop"))
    assert np.isfinite(prediction).all()
    assert state.steps <= 0.4 * state.training.plan.planned


def test_a_rate_that_leads_nowhere_leaves_the_best_state_so_far(monkeypatch, tmp_path):
    monkeypatch.setattr(control, "_BY_NAME", {"faster": Decision("faster", rate_factor=1e30)})
    state, prediction = fit(control=make_file(tmp_path, "faster"))
    assert np.isfinite(prediction).all()
    assert state.steps < state.training.plan.planned


def test_a_learner_that_cannot_be_controlled_is_left_alone(tmp_path):
    learner = get_learner("lightgbm")
    inputs, target = make_rows()
    predictions = []
    for schedule in ({}, {"control": str(tmp_path / "absent.safetensors")}):
        spec = replace(make_spec(), configuration=learner.space.default(), schedule=schedule)
        predictions.append(fit_one(learner, inputs, target, spec, loss="log_loss", deadline=None)[1])
    np.testing.assert_array_equal(*predictions)


def test_control_is_part_of_a_strategy_and_a_bad_file_is_a_failed_trial(tmp_path):
    inputs, target = make_rows()
    task = Task("toy", TaskKind.BINARY, METRICS["roc_auc"], inputs, target, ("no", "yes"))
    rows = np.arange(160)
    trials = []
    for name, path in (("good", make_file(tmp_path, "stop")), ("bad", str(tmp_path / "bad.safetensors"))):
        (tmp_path / name).mkdir()
        (tmp_path / "bad.safetensors").write_bytes(b"nothing")
        schedule = {"kind": "constant", "warm_up": 0.0, "control": path}
        strategy = Strategy("mlp", make_spec().configuration, {"kind": "all", "pace": "shuffled"}, schedule)
        folds = [(rows[:120], rows[120:])]
        trials.append(run_inner(task, strategy, folds=folds, folder=tmp_path / name, executor=SerialExecutor()))
    assert trials[0].status is Status.COMPLETED
    assert trials[1].status is Status.FAILED
    assert "Expected a controller" in trials[1].error


def test_points_that_were_passed_at_once_need_one_decision_only():
    fitting = Fitting.start(get_learner("mlp"), *make_rows(), make_spec(), loss="log_loss")
    while fitting.progress < POINTS[1]:
        fitting.look()
    assert fitting.is_due
    fitting.decide(GO_ON)
    assert not fitting.is_due
    assert len(fitting.decisions) == 2
