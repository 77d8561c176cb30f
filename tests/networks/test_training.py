"""The training of networks: pace, control, branching, deadlines, warm starts; nothing of torch's is left changed."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from gstar.learner import Pace  # noqa: E402
from gstar.networks.training import Plan, Rows, Training, initialise, isolated, place_in_stratum  # noqa: E402

N = 80
PLAN = Plan(16, 40, "adamw", 0.01, 0.0, {"kind": "constant"}, Pace(), 1)


def make_rows(weights=None):
    x = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32)
    return Rows.of((torch.from_numpy(x),), (x[:, 0] > 0.8).astype(int), weights)


def make_network():
    return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2))


def start(plan=PLAN, seed=0, rows=None, make=make_network):
    return Training.start(make, make_rows() if rows is None else rows, plan, seed=seed)


def weights_of(training):
    return torch.cat([p.detach().flatten() for p in training.network.parameters()]).clone()


def shown(training, steps):
    """The rows of the next steps."""
    seen = []
    for _ in range(steps):
        if not training.queue:
            training.queue = training._new_pass()
        seen.append(training.queue[0])
        training.queue = training.queue[1:]
    return torch.cat(seen).tolist()


def test_the_same_seed_is_the_same_training_whatever_ran_before():
    first = start()
    first.advance(15, None)
    torch.manual_seed(99)
    other = start(seed=5)
    again = start()
    for _ in range(15):
        other.advance(1, None)
        torch.rand(3)
        again.advance(1, None)
    torch.testing.assert_close(weights_of(first), weights_of(again), atol=0, rtol=0)
    assert not torch.equal(weights_of(first), weights_of(other))


def test_nothing_of_torch_is_left_changed():
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    with isolated(None, threads + 1):
        assert torch.get_num_threads() == threads + 1
        torch.rand(5)
    start().advance(5, None)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("kind", ["constant", "schedule_free"])
@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_branches_of_one_state_go_on_alike_and_leave_it_alone(kind, optimiser):
    stem = start(replace(PLAN, schedule={"kind": kind}, optimiser=optimiser))
    stem.advance(7, None)
    here = weights_of(stem)
    left, right = stem.copy(), stem.copy()
    left.advance(9, None)
    torch.testing.assert_close(weights_of(stem), here, atol=0, rtol=0)
    right.advance(4, None)
    right.advance(5, None)
    stem.advance(9, None)
    for branch in (left, right):
        torch.testing.assert_close(weights_of(stem), weights_of(branch), atol=0, rtol=0)
    assert not torch.equal(here, weights_of(stem))


def test_each_pass_shows_all_rows_in_another_order():
    training = start()
    first, second = shown(training, 5), shown(training, 5)
    assert sorted(first) == sorted(second) == list(range(N))
    assert first != second


@pytest.mark.parametrize(("kind", "end"), [("easy_first", 0), ("hard_first", 1)])
def test_the_pace_begins_at_one_end_and_comes_to_all_rows(kind, end):
    difficulty = np.random.default_rng(1).random(N)
    training = start(replace(PLAN, pace=Pace(kind, 0.0, difficulty)))
    rows = training._taking_part().numpy()
    strata = training.rows.strata
    for c in (0, 1):
        own = rows[strata[rows] == c]
        assert len(own) == np.ceil(0.2 * np.sum(strata == c))
        rest = np.setdiff1d(np.flatnonzero(strata == c), own)
        low, high = (own, rest) if end == 0 else (rest, own)
        assert difficulty[low].max() < difficulty[high].min()
    training.steps = 20
    assert len(training._taking_part()) == N


def test_without_a_measured_difficulty_the_network_shows_it_after_a_first_pass():
    training = start(replace(PLAN, pace=Pace("easy_first")))
    assert len(training._taking_part()) == N
    training.advance(5, None)
    rows = training._taking_part().numpy()
    losses, strata = training.losses(), training.rows.strata
    assert N / 5 < len(rows) < N
    for c in (0, 1):
        own = rows[strata[rows] == c]
        assert losses[own].max() <= np.sort(losses[strata == c])[len(own) - 1]


def test_small_loss_leaves_out_its_share_of_every_class():
    training = start(replace(PLAN, pace=Pace("small_loss", 0.25)))
    assert len(training._taking_part()) == N, "at the start all rows take part"
    training.advance(20, None)
    rows, strata, losses = training._taking_part().numpy(), training.rows.strata, training.losses()
    for c in (0, 1):
        own = rows[strata[rows] == c]
        assert len(own) == np.ceil(0.75 * np.sum(strata == c))
        assert losses[own].max() <= np.sort(losses[strata == c])[len(own) - 1]


def test_control_changes_the_rate_the_rows_and_the_weights():
    training = start()
    training.advance(6, None)
    rate = training._rate()
    training.adjust(0.3, 0.5, False)
    training.adjust(0.3, 0.1, True)
    assert training._rate() == pytest.approx(0.09 * rate)
    counts = np.bincount(training.rows.strata)
    assert len(training._taking_part()) == np.ceil(counts / 2).sum(), "decisions add up, the larger share stays"
    plain = training.copy()
    plain.balanced = False
    assert training.balanced
    for t in (plain, training):
        t.advance(1, None)
    assert plain.support_loss != training.support_loss
    even = training.rows.even.numpy()
    assert [even[training.rows.strata == c].sum() for c in (0, 1)] == pytest.approx([N / 2, N / 2])


def test_progress_counts_steps_without_a_deadline():
    training = start()
    assert (training.progress, training.done) == (0.0, False)
    training.advance(10, None)
    assert training.progress == 0.25
    training.advance(99, None)
    assert (training.steps, training.progress, training.done) == (40, 1.0, True)


def test_a_deadline_compresses_the_schedule(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    training = start(replace(PLAN, schedule={"kind": "cosine"}))
    training.began = now[0]
    rates = []
    while not training.done:
        now[0] += 1.0
        training.advance(1, 110.0)
        rates.append(training._rate())
    assert training.steps == 10, "a quarter of what was planned"
    assert training.progress == 1.0
    assert np.all(np.diff(rates) < 0)
    assert rates[-1] == pytest.approx(0.01 * 0.01)


def test_the_last_planned_step_has_the_last_rate():
    training = start(replace(PLAN, schedule={"kind": "decay", "decay_final": 0.5}))
    training.advance(1, None)
    assert training._rate() == pytest.approx(0.01)
    training.advance(99, None)
    assert training._rate() == pytest.approx(0.005)


def test_weights_count_as_repeated_rows():
    rows = make_rows(np.where(np.arange(N) % 2, 2.0, 0.0))
    assert rows.weights.mean() == pytest.approx(1.0)
    whole = start(rows=rows)
    whole.advance(3, None)
    assert np.isfinite(whole.support_loss)


def test_a_loss_that_is_not_finite_ends_the_training():
    training = start(make=lambda: nn.Sequential(nn.Linear(3, 2)))
    with torch.no_grad():
        training.optimiser.flat.values.fill_(float("nan"))
    training.advance(5, None)
    assert (training.diverged, training.done, training.steps) == (True, True, 1)


class Net(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.scaling = nn.BatchNorm1d(3)
        self.body = nn.Linear(3, 4)
        self.head = nn.Linear(4, outputs)


def test_a_warm_start_copies_what_fits():
    old, new = Net(5), Net(2)
    own_head, own_scaling = new.head.weight.clone(), new.scaling.running_mean.clone()
    old.scaling.running_mean.fill_(9.0)
    initialise(new, old.state_dict(), frozen=False)
    torch.testing.assert_close(new.body.weight, old.body.weight)
    torch.testing.assert_close(new.head.weight, own_head)
    torch.testing.assert_close(new.scaling.running_mean, own_scaling)
    assert all(p.requires_grad for p in new.parameters())


def test_frozen_trains_what_was_not_copied_and_the_head():
    old, new = Net(2), Net(2)
    initialise(new, old.state_dict(), frozen=True)
    assert {n for n, p in new.named_parameters() if not p.requires_grad} == {"body.weight", "body.bias"}
    torch.testing.assert_close(new.head.weight, old.head.weight)


def test_places_are_counted_within_strata():
    place = place_in_stratum(np.array([3.0, 1.0, 2.0, 9.0, 0.0]), np.array([0, 0, 0, 7, 7]))
    assert place.tolist() == pytest.approx([2 / 3, 0, 1 / 3, 0.5, 0])
