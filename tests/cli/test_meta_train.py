"""``gstar meta-train``: learning on a person's own tasks, and each mistake one line."""

from __future__ import annotations

import json
import signal

import numpy as np
import pytest

from gstar import learner as learners
from gstar import plots
from gstar.cli import meta_train
from gstar.learned import Learned
from gstar.learner import register_learner
from tests.begins import Begins
from tests.cli.conftest import table

CHEAP = ("--space", "constant,neighbors", "--experience", "off", "--rows", 60, "--iterations", 1)


def test_it_learns_goes_on_and_the_fit_uses_it(gstar, place):
    table(place / "a.csv")
    table(place / "b.csv", seed=1)
    arguments = ("meta-train", "a.csv", "b.csv", "--target", "y", "--out", "g.st", *CHEAP)
    outcome = gstar(*arguments)
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("32 trials on 2 tasks, 1 iterations: iterations\n  on table: ")
    assert "gstar fit DATA --policy gradient:g.st" in outcome.out
    assert outcome.err.splitlines()[0] == "2 tasks, 8 x 4 trials an iteration"
    assert outcome.err.splitlines()[1].startswith("iteration 1: reward ")

    again = gstar(*arguments[:-1], 2, "--json", "-q")
    assert again.err == ""
    told = json.loads(again.out)
    assert (told["trials"], told["iterations"], told["plots"]) == (64, 2, [])
    assert sum(told["chances"]["table"].values()) == pytest.approx(1.0)

    fit = gstar("fit", "a.csv", "--target", "y", "--policy", "gradient:g.st", "--trials", 2, "--workers", 0,
                "--learners", "neighbors", "--experience", "off", "-q", "--json")  # fmt: skip
    assert fit.code == 0, fit.err
    assert "neighbors" in fit.out


def test_a_checkpoint_that_finds_no_room_is_one_line(gstar, place):
    table(place / "a.csv")
    (place / "g.checkpoint.part").mkdir()
    outcome = gstar("meta-train", "a.csv", "--target", "y", "--out", "g", *CHEAP[:-1], 2, "-q")
    assert outcome.code == 0, outcome.err
    (line,) = outcome.err.splitlines()
    assert line.startswith("Warning: The checkpoint g.checkpoint could not be written")
    assert (place / "g").exists()


def test_images_sequences_and_a_manifest_with_plots(gstar, place):
    pytest.importorskip("matplotlib")
    rng = np.random.default_rng(0)
    pixels = (
        rng.integers(0, 99, (40, 4, 4)).astype(np.uint8) + (np.arange(40) % 2 * 100).astype(np.uint8)[:, None, None]
    )
    np.savez(place / "i.npz", x=pixels, y=np.arange(40) % 2)
    np.savez(place / "s.npz", x=rng.normal(size=(40, 5, 2)), y=np.arange(40) % 2)
    folder = place / "old"
    folder.mkdir()
    table(folder / "c.csv")
    (folder / "manifest.csv").write_text("name,file,target,task\nc,c.csv,y,binary\n")
    outcome = gstar("meta-train", "i.npz", "s.npz", folder, "--space", "constant", "--experience", "off",
                    "--iterations", 1, "--plot", "--json", "--out", "g")  # fmt: skip
    assert outcome.code == 0, outcome.err
    told = json.loads(outcome.out)
    assert sorted(told["chances"]) == ["images", "sequences", "table"]
    assert told["failed"] == 0
    assert told["plots"] == ["g.png", "g.html"]
    assert (place / "g.png").stat().st_size > 1000
    assert "<svg" in (place / "g.html").read_text()


def test_networks_begin_with_remembered_weights(gstar, place):
    register_learner(Begins())
    for level, name in ((0, "first"), (40, "second")):
        pixels = np.random.default_rng(level).integers(level, 100 + level, (60, 1, 5, 5)).astype(np.uint8)
        np.savez(place / f"{name}.npz", x=pixels, y=np.arange(60) % 8 > 0)
    train = ("meta-train", "first.npz", "--space", "begins,constant", "--iterations", 1, "--workers", 1)
    on = ("--weights", "on", "-q")
    none = gstar(*train, *on, "--out", "g0")
    assert none.code == 0
    first, second = none.err.splitlines()
    assert "never a row of your data. To switch" in first, "as no weights are kept"
    assert second.startswith("Warning: No weights are remembered that one of these tasks could begin with")
    fit = ("--trials", 3, "--workers", 0, "-q", "--json", "--learners", "begins")
    for name in ("first", "second"):
        assert gstar("fit", f"{name}.npz", *fit, "--weights", "on").code == 0
    outcome = gstar(*train, *on, "--out", "g")
    assert (outcome.code, outcome.err) == (0, "")
    assert "  networks that can begin with remembered weights: " in outcome.out
    assert "gstar fit DATA --policy gradient:g --weights on" in outcome.out
    assert json.loads(gstar("experience", "status", "--json").out)["weights"] == 2
    told = json.loads(gstar(*train, *on, "--out", "g", "--json").out)
    assert (told["tasks_with_weights"], told["iterations"]) == (1, 1)
    assert sum(told["init"].values()) == pytest.approx(1.0)
    assert json.loads(gstar(*train, "-q", "--out", "plain", "--json").out)["init"] == {}

    fits = {
        how: json.loads(gstar("fit", "second.npz", *fit, "--policy", "gradient:g", "--weights", how).out)
        for how in ("on", "off")
    }
    begun = {how: [t["strategy"].get("init", {}) for t in found["trials"][1:]] for how, found in fits.items()}
    assert any(begun["on"])
    assert begun["off"] == [{}] * 3


def test_trials_are_remembered(gstar, place):
    table(place / "a.csv")
    outcome = gstar("meta-train", "a.csv", "--target", "y", "--space", "constant", "--iterations", 1)
    assert outcome.code == 0, outcome.err
    assert json.loads(gstar("experience", "status", "--json").out)["trials"] == 32


@pytest.mark.parametrize(
    ("arguments", "code", "match"),
    [
        (("--space", "nonsense"), 2, "No learner 'nonsense'"),
        (("--space", ","), 2, "at least one learner"),
        (("--space", "none.json"), 2, "none.json"),
        (("--space", "cnn"), 2, "Expected a learner for a (table, binary)"),
        (("--ways", "2,x"), 2, "--ways '2,x'"),
        (("--ways", "7"), 3, "at least 7 classes"),
        (("--estimator", "nonsense"), 2, "nonsense"),
        (("--trial", "soon"), 2, "duration"),
        (("--budget", "soon"), 2, "duration"),
        (("--target", "none"), 3, "none"),
        (("--out", "a.csv"), 2, "is no g"),
        (("--out", "none/g"), 4, "no directory none"),
    ],
    ids=str,
)
def test_a_mistake_is_one_line_and_nothing_is_lost(gstar, place, arguments, code, match):
    table(place / "a.csv")
    before = (place / "a.csv").read_bytes()
    outcome = gstar("meta-train", "a.csv", "--target", "y", *CHEAP, *arguments)
    assert outcome.code == code
    assert match in outcome.error
    assert (place / "a.csv").read_bytes() == before


def test_a_file_that_is_not_there(gstar):
    outcome = gstar("meta-train", "none.csv", *CHEAP)
    assert outcome.code == 3
    assert "none.csv" in outcome.error


def test_a_task_with_too_few_rows_is_named(gstar, place):
    table(place / "few.csv", rows=3)
    outcome = gstar("meta-train", "few.csv", "--target", "y", *CHEAP)
    assert outcome.code == 3
    assert "few" in outcome.error


def test_torch_is_not_installed(gstar, place, monkeypatch):
    table(place / "a.csv")
    real = learners.find_spec
    monkeypatch.setattr(learners, "find_spec", lambda name: None if name == "torch" else real(name))
    outcome = gstar("meta-train", "a.csv", "--target", "y", *CHEAP, "--space", "mlp")
    assert outcome.code == 2
    assert "gstar[deep]" in outcome.error


def test_matplotlib_is_not_installed(gstar, place, monkeypatch):
    table(place / "a.csv")
    monkeypatch.setattr(plots, "find_spec", lambda _: None)
    outcome = gstar("meta-train", "a.csv", "--target", "y", *CHEAP, "--plot")
    assert outcome.code == 2
    assert "gstar[plots]" in outcome.error


def test_a_damaged_checkpoint_is_refused_and_kept(gstar, place):
    table(place / "a.csv")
    (place / "g.checkpoint").write_bytes(b"nonsense")
    outcome = gstar("meta-train", "a.csv", "--target", "y", *CHEAP, "--out", "g", "-q")
    assert outcome.code == 6
    assert "Delete it to begin anew" in outcome.error
    assert (place / "g.checkpoint").read_bytes() == b"nonsense"


def test_an_interrupt_keeps_what_was_learned(gstar, place, monkeypatch):
    table(place / "a.csv")
    monkeypatch.setattr(meta_train, "_tell", lambda _: signal.raise_signal(signal.SIGINT))
    outcome = gstar("meta-train", "a.csv", "--target", "y", *CHEAP[:-1], 5, "--out", "g")
    assert outcome.code == 130
    assert Learned.load(place / "g").about["stop_reason"] == "interrupted"
    assert "interrupted" in outcome.out
