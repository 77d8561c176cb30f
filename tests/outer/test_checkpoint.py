"""The state as a file: whole at any moment, and refused when it is damaged or of another run."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

from gstar.distribution import TreeDistribution
from gstar.errors import StorageError, UntrustedFileError, UsageError
from gstar.failpoints import FailpointError
from gstar.outer import Convergence, OuterSettings, OuterState
from gstar.outer.checkpoint import read_checkpoint, write_checkpoint
from gstar.space import Categorical, Space
from tests.outer.arms import ARMS, learn

SETTINGS = OuterSettings(
    "reinforce", tasks=4, strategies=3, iterations=5, reuse=2, ahead=2, entropy=0.1, convergence=Convergence(window=6)
)
G = TreeDistribution(ARMS)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "g.checkpoint"
    names = ("tasks", "strategies", "reuse", "ahead", "entropy", "convergence")
    changes = {name: getattr(SETTINGS, name) for name in names}
    learn(estimator="reinforce", iterations=5, rate=SETTINGS.rate, checkpoint=path, **changes)
    return path


def _read(path: Path, **changes) -> OuterState | None:
    return read_checkpoint(path, G, replace(SETTINGS, **changes))


def _arrays(state: OuterState) -> list:
    past = [(d.contexts, d.log_probs, d.points.left, d.points.on, r) for d, r in state.past]
    g = (state.meta, state.start, state.behind, state.adam.mean, state.adam.square)
    return [a.tolist() for a in (*g, state.memory, state.rewards, state.trail, *(a for entry in past for a in entry))]


def test_what_is_written_is_read_bit_for_bit(file: Path, tmp_path: Path):
    state = _read(file)
    assert (state.iteration, state.n_trainings, state.adam.count, len(state.past)) == (5, 60, 5, 2)
    assert (state.lowered, len(state.rewards), state.trail.shape) == (0, 5, (5, G.size))
    assert state.behind.tolist() == state.trail[-3:-1].tolist()
    write_checkpoint(tmp_path / "again", state, G, SETTINGS)
    again = read_checkpoint(tmp_path / "again", G, SETTINGS)
    assert _arrays(again) == _arrays(state)


def test_no_file_is_no_state(tmp_path: Path):
    assert _read(tmp_path / "none") is None


@pytest.mark.parametrize("changes", [{"iterations": 9}, {"budget_s": 3.0}, {"convergence": None}], ids=str)
def test_how_long_it_runs_may_change(file: Path, changes: dict):
    assert _read(file, **changes) is not None


@pytest.mark.parametrize(
    "changes", [{"estimator": "ppo"}, {"seed": 1}, {"rate": 0.2}, {"tasks": 5}, {"reuse": 0}], ids=str
)
def test_another_run_is_refused(file: Path, changes: dict):
    with pytest.raises(UsageError, match=r"is of another run.*take the same settings and space, or another file"):
        _read(file, **changes)


@pytest.mark.parametrize("name", ["arm", "leg"])
def test_another_space_is_refused(file: Path, name: str):
    other = TreeDistribution(Space({name: Categorical(("good", "bad", "worse", "worst", "none"))}))
    assert other.size == G.size, "so that the number of meta-parameters does not tell"
    with pytest.raises(UsageError, match="is of another run"):
        read_checkpoint(file, other, SETTINGS)


def test_wherever_it_is_cut_off_it_is_refused(file: Path):
    content = file.read_bytes()
    for length in {0, 1, 7, 8, 9, *range(10, len(content), 251), len(content) - 1}:
        file.write_bytes(content[:length])
        with pytest.raises(UntrustedFileError, match=r"g\.checkpoint.*[Dd]elete it to begin anew"):
            _read(file)


@pytest.mark.parametrize("content", [b"no checkpoint", b"\xff" * 100, b"PK\x03\x04zip", b"\x80\x04pickle."], ids=str)
def test_something_else_is_refused(file: Path, content: bytes):
    file.write_bytes(content)
    with pytest.raises(UntrustedFileError, match="Expected a checkpoint of the outer loop"):
        _read(file)


def _changed(file: Path, change) -> None:
    """Rewrites a file after a function has changed its arrays and what it says about them."""
    content = file.read_bytes()
    arrays = load(content)
    about = json.loads(json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]["about"])
    about = change(arrays, about) or about
    file.write_bytes(save(arrays, {"format": "gstar-outer-3", "about": json.dumps(about)}))


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays, about: [arrays.pop("meta"), about][1],
        lambda arrays, about: arrays.update(meta=arrays["meta"][:-1]),
        lambda arrays, about: arrays.update(meta=arrays["meta"] * np.nan),
        lambda arrays, about: arrays.update(trail=arrays["trail"].ravel()[:-1]),
        lambda arrays, about: arrays.update(square=np.zeros(1)),
        lambda arrays, about: arrays.update(behind=arrays["behind"][:1]),
        lambda arrays, about: about.pop("iteration") and None,
        lambda arrays, about: about.update(iteration="many"),
        lambda arrays, about: about.update(past=7),
        lambda arrays, about: about["past"][0].pop() and None,
        lambda arrays, about: about["past"][0][0].update(arm="golden"),
        lambda arrays, about: [arrays.pop("past.1.rewards"), about][1],
        lambda arrays, about: ["a list"],
    ],
    ids=lambda change: str(change.__code__.co_firstlineno),
)
def test_a_file_with_a_wrong_part_is_refused(file: Path, change):
    _changed(file, change)
    with pytest.raises((UntrustedFileError, UsageError), match=r"g\.checkpoint"):
        _read(file)


def test_a_file_of_another_format_is_refused(file: Path):
    file.write_bytes(save({"meta": np.zeros(3)}, {"format": "gstar-g-1", "about": "{}"}))
    with pytest.raises(UntrustedFileError, match="its format is 'gstar-g-1', expected 'gstar-outer-3'"):
        _read(file)


def test_the_earlier_one_stays_whole_until_the_new_one_is(file: Path, monkeypatch: pytest.MonkeyPatch):
    before, state = file.read_bytes(), _read(file)
    monkeypatch.setenv("GSTAR_FAILPOINT", "checkpoint.before_replace:raise")
    with pytest.raises(FailpointError):
        write_checkpoint(file, replace(state, iteration=6), G, SETTINGS)
    assert file.read_bytes() == before
    monkeypatch.delenv("GSTAR_FAILPOINT")
    write_checkpoint(file, replace(state, iteration=6), G, SETTINGS)
    assert _read(file).iteration == 6


def test_a_place_that_cannot_be_written_is_named(file: Path, tmp_path: Path):
    with pytest.raises(StorageError, match="could not be written"):
        write_checkpoint(tmp_path / "no" / "folder", _read(file), G, SETTINGS)


def test_a_folder_is_no_checkpoint(tmp_path: Path):
    with pytest.raises(StorageError, match="could not be read"):
        _read(tmp_path)
