"""Remembered weights: whole or not used, never those of the same rows, within their room, gone when forgotten."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import stat
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load, save

from gstar.errors import StorageError, UntrustedFileError
from gstar.inputs import Images, Sequences
from gstar.learner import TrainingSpec
from gstar.reading import make_task
from gstar.strategy import Strategy
from gstar.weights import HASHES, WEIGHTS, Relatives, Sources, Weights, describe, hashes_of, read
from tests.begins import Begins

LEARNERS = {"begins": Begins()}
STRATEGY = Strategy("begins", {"width": 8, "epochs": 1})


def task_of(level=0, n=40, name="toy", seed=0):
    rng = np.random.default_rng([seed, level])
    pixels = np.clip(rng.normal(60 + level, 20, (n, 1, 6, 6)), 0, 255).astype(np.uint8)
    return make_task(pixels, (np.arange(n) % 2).astype(str), name=name)


def parts_of(value=0.5, size=1):
    body = np.full(size, value)
    return {WEIGHTS: save({"body": body, "head.bias": np.ones(1), "entry.scaling.mean": np.ones(1)})}


@pytest.fixture
def weights(tmp_path):
    return Weights(tmp_path / "w", quota_mb=10.0)


def test_what_is_kept_is_the_body_alone_and_comes_back(weights):
    kept = weights.keep(task_of(), STRATEGY, parts_of(0.7), run="r")
    (found,) = weights
    assert (found.hash, found.task, found.name, found.run) == (kept.hash, task_of().fingerprint, "toy", "r")
    assert found.strategy == STRATEGY
    tensors = load(read(found.path)[WEIGHTS])
    assert set(tensors) == {"body", "hashes"}
    assert tensors["body"].tolist() == [0.7]
    assert found.path.stem == hashlib.sha256(found.path.read_bytes()).hexdigest()


def test_no_row_and_no_label_is_in_the_file(weights):
    task = task_of()
    labelled = make_task(task.inputs.pixels, np.where(np.arange(40) % 2, "ill", "well"), name="toy")
    kept = weights.keep(labelled, STRATEGY, parts_of(), run="r")
    content = kept.path.read_bytes()
    assert b"ill" not in content
    assert not any(row.tobytes() in content for row in task.inputs.pixels)


@pytest.mark.parametrize("how", ["flipped", "cut", "empty", "renamed", "text"])
def test_a_damaged_file_is_told_and_never_used(weights, how):
    path = weights.keep(task_of(), STRATEGY, parts_of(), run="r").path
    content = path.read_bytes()
    damaged = {
        "flipped": content[:-1] + bytes([content[-1] ^ 1]),
        "cut": content[:-5],
        "empty": b"",
        "renamed": content,
        "text": b"hello",
    }[how]
    if how == "renamed":
        path = path.rename(path.with_name("0" * 64 + ".safetensors"))
    path.write_bytes(damaged)
    with pytest.raises(UntrustedFileError, match="damaged"):
        read(path)
    (problem,) = weights.check()
    assert str(path) in problem


def test_numbers_that_are_not_finite_are_refused(weights):
    path = weights.keep(task_of(), STRATEGY, parts_of(np.nan), run="r").path
    with pytest.raises(UntrustedFileError, match="not finite"):
        read(path)


def test_a_header_that_makes_no_sense_is_left_out(weights):
    endless = {**json.loads(described(weights)), "rows": float("inf")}
    for about in ("{}", "[" * 5000, json.dumps({"task": 1}), "no json", json.dumps(endless)):
        content = save({"body": np.ones(1)}, {"gstar": about})
        (weights.folder / f"{hashlib.sha256(content).hexdigest()}.safetensors").write_bytes(content)
    assert list(weights) == []
    assert len(weights.check()) == 5


def described(weights) -> str:
    """What a whole file says of itself; the file is gone again."""
    path = weights.keep(task_of(), STRATEGY, parts_of(), run="r").path
    content = path.read_bytes()
    path.unlink()
    return json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]["gstar"]


def test_a_link_and_a_file_of_others_are_left_alone(weights, tmp_path):
    kept = weights.keep(task_of(), STRATEGY, parts_of(), run="r")
    elsewhere = kept.path.rename(tmp_path / "elsewhere.safetensors")
    kept.path.symlink_to(elsewhere)
    own = weights.folder / "my-own.safetensors"
    own.write_bytes(elsewhere.read_bytes())
    content = own.read_bytes()
    assert not list(weights)
    weights.quota_mb = 1e-9 + 2 * len(content) / 2**20
    assert weights.keep(task_of(seed=3, level=90), STRATEGY, parts_of(), run="r") is not None
    assert weights.forget(run="r") == 1
    assert own.read_bytes() == elsewhere.read_bytes() == content


def test_a_part_that_is_no_safetensors_is_not_kept_and_said(weights):
    with pytest.raises(StorageError, match=r"cannot be kept: .*no whole safetensors file"):
        weights.keep(task_of(), STRATEGY, {"weights.safetensors": b"other"}, run="r")


def test_the_most_similar_task_comes_first(weights):
    for level in (120, 10, 60):
        weights.keep(task_of(level, name=f"level {level}", seed=1), STRATEGY, parts_of(), run="r")
    found = weights.sources(task_of(), LEARNERS)
    assert [source.name for _, source in found.found] == ["level 10", "level 60", "level 120"]
    tuned, frozen = found.strategies()
    assert (tuned.init["body"], frozen.init["body"]) == ("fine_tuned", "frozen")
    assert found.of(tuned)[1].name == "level 10"
    assert found.of(STRATEGY) is None
    assert found.of(replace(tuned, configuration={"width": 16, "epochs": 1})) is None
    assert found.of(replace(tuned, configuration={"width": 8, "epochs": 2}))[1].name == "level 10"
    nearest = found.found[0][1]
    assert found.without(nearest.hash).of(tuned)[1].name == "level 60"


def test_neither_the_task_itself_nor_one_that_shares_its_rows_is_a_source(weights):
    task = task_of(n=200)
    weights.keep(task, STRATEGY, parts_of(), run="r")
    assert len(weights.sources(task_of(seed=5), LEARNERS).found) == 1
    assert not weights.sources(task, LEARNERS).found
    assert not weights.sources(task.take(np.arange(20)), LEARNERS).found
    pixels = np.concatenate([task.inputs.pixels[:20], task_of(n=200, seed=5).inputs.pixels])
    grown = make_task(pixels, (np.arange(220) % 2).astype(str))
    assert not weights.sources(grown, LEARNERS).found


def test_relatives_are_no_sources(weights):
    for seed in range(5):
        weights.keep(task_of(seed=seed, name=f"task {seed}"), STRATEGY, parts_of(), run="r")
    cousin = make_task(task_of(seed=2).inputs.pixels[:9], np.array(list("abababaab")), name="other")
    relatives = Relatives.of(
        [task_of(seed=1, name="other"), cousin], names=["task 3"], fingerprints=[task_of(seed=4, name="x").fingerprint]
    )
    found = weights.sources(task_of(seed=9), LEARNERS, relatives=relatives)
    assert [source.name for _, source in found.found] == ["task 0"]
    assert len(weights.sources(task_of(seed=9), LEARNERS).found) == 5


def test_a_draw_begins_with_the_body_of_the_nearest_of_its_learner(weights):
    for level, width in ((60, 16), (10, 8)):
        weights.keep(task_of(level), replace(STRATEGY, configuration={"width": width}), parts_of(), run="r")
    sources = weights.sources(task_of(), LEARNERS)
    tuned = Strategy("begins", {"width": 16, "epochs": 2}, init={"kind": "remembered", "body": "fine_tuned"})
    assert sources.beginning(tuned) == replace(tuned, configuration={"width": 8, "epochs": 2})
    assert sources.beginning(replace(tuned, init={})) == replace(tuned, init={})
    assert sources.beginning(replace(tuned, learner="cnn")) == replace(tuned, learner="cnn", init={})
    assert Sources().beginning(tuned) == replace(tuned, init={})
    assert [source.strategy.configuration["width"] for _, source in sources.nearest().found] == [8]


def test_shared_rows_are_found_in_tasks_with_more_rows_than_are_hashed():
    pixels = np.random.default_rng(0).integers(0, 256, (3 * HASHES, 1, 3, 3), np.uint8)
    hashes = hashes_of(Images(pixels))
    assert len(hashes) == HASHES
    assert np.isin(hashes_of(Images(pixels[:50])), hashes).any()


def test_padding_does_not_hide_a_sequence():
    short = Sequences(np.ones((2, 3, 1), np.float32), np.array([2, 3]))
    longer = Sequences(np.concatenate([short.steps, np.zeros((2, 4, 1), np.float32)], axis=1), short.lengths)
    assert hashes_of(short).tolist() == hashes_of(longer).tolist()


def test_other_forms_channels_and_learners_are_no_sources(weights):
    weights.keep(task_of(), STRATEGY, parts_of(), run="r")
    colour = make_task(np.random.default_rng(0).integers(0, 255, (30, 3, 6, 6), np.uint8), ["a", "b"] * 15)
    assert not weights.sources(colour, LEARNERS).found
    assert not weights.sources(task_of(seed=3), {}).found
    table = make_task(np.random.default_rng(0).normal(size=(30, 3)), ["a", "b"] * 15)
    assert weights.keep(table, STRATEGY, parts_of(), run="r") is None
    assert not weights.sources(table, LEARNERS).found


def test_off_keeps_and_uses_nothing_but_forgets(tmp_path):
    Weights(tmp_path / "w", quota_mb=1.0).keep(task_of(), STRATEGY, parts_of(), run="r")
    off = Weights(tmp_path / "w")
    assert off.keep(task_of(1), STRATEGY, parts_of(), run="r") is None
    assert not off.sources(task_of(seed=3), LEARNERS).found
    assert off.forget(task=task_of().fingerprint) == 1
    assert os.listdir(tmp_path / "w") == []


@pytest.mark.skipif(os.name == "nt", reason="permissions are others there")
def test_who_may_not_read_the_experience_may_not_read_the_weights(tmp_path):
    for mode, expected in ((0o600, 0o700), (0o640, 0o750)):
        file, folder = tmp_path / f"{mode}.sqlite", tmp_path / f"{mode}.weights"
        file.touch()
        file.chmod(mode)
        Weights(folder, quota_mb=1.0, beside=file).keep(task_of(), STRATEGY, parts_of(), run="r")
        assert stat.S_IMODE(folder.stat().st_mode) == expected


def test_what_was_used_longest_ago_goes_when_room_is_short(tmp_path):
    weights = Weights(tmp_path / "w", quota_mb=0.2)
    kept = []
    for i in range(3):
        kept.append(weights.keep(task_of(i, name=f"t{i}"), STRATEGY, parts_of(i, 8000), run="r"))
        os.utime(kept[-1].path, (1000 + i, 1000 + i))
    weights.used(kept[0])
    weights.keep(task_of(9, name="t9"), STRATEGY, parts_of(9, 8000), run="r")
    weights.keep(task_of(10, name="t10"), STRATEGY, parts_of(10, 8000), run="r")
    assert {source.name for source in weights} == {"t0", "t9", "t10"}
    assert weights.size <= 0.2 * 2**20
    assert weights.keep(task_of(11), STRATEGY, parts_of(1, 80_000), run="r") is None
    assert len(list(weights)) == 3


def test_a_task_that_is_learned_again_has_one_file(weights):
    weights.keep(task_of(), STRATEGY, parts_of(0.1), run="r")
    weights.keep(task_of(), STRATEGY, parts_of(0.2), run="s")
    assert [source.run for source in weights] == ["s"]


def test_forgetting_overwrites_and_removes(weights):
    one = weights.keep(task_of(1), STRATEGY, parts_of(), run="r")
    weights.keep(task_of(2), STRATEGY, parts_of(), run="s")
    with one.path.open("rb") as held:
        assert weights.forget(task=task_of(1).fingerprint) == 1
        assert set(held.read()) == {0}
    assert weights.forget(run="s") == 1
    assert weights.forget(run="s") == 0
    assert list(weights) == []


def test_read_only_weights_are_used_and_stay(weights):
    kept = weights.keep(task_of(), STRATEGY, parts_of(), run="r")
    os.utime(kept.path, (1, 1))
    frozen = Weights(weights.folder, quota_mb=10.0, writable=False)
    assert frozen.sources(task_of(seed=3), LEARNERS).found
    frozen.used(kept)
    assert kept.path.stat().st_mtime == 1
    assert frozen.keep(task_of(1), STRATEGY, parts_of(), run="r") is None


KILLED = """
from tests.test_weights import *
Weights(Path(sys.argv[1]), quota_mb=10.0).keep(task_of(1), STRATEGY, parts_of(), run="r")
""".replace("import *", "import *\nfrom pathlib import Path")


def test_a_kill_while_writing_leaves_nothing_that_counts(weights):
    weights.keep(task_of(), STRATEGY, parts_of(), run="r")
    environment = os.environ | {
        "GSTAR_FAILPOINT": "weights.keep.before_rename:kill",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    code = subprocess.run([sys.executable, "-c", KILLED, str(weights.folder)], env=environment, check=False).returncode
    assert code == -9
    (draft,) = weights.folder.glob(".*.part")
    assert len(list(weights)) == 1
    assert weights.check() == []
    os.utime(draft, (1, 1))
    weights.keep(task_of(2), STRATEGY, parts_of(), run="r")
    assert not draft.exists()


def _keep_many(folder, first):
    weights = Weights(folder, quota_mb=0.2)
    for i in range(first, first + 15):
        weights.keep(task_of(i), STRATEGY, parts_of(i, 2000), run="r")
        list(weights)
        weights.check()


def test_several_processes_keep_and_evict_at_once(tmp_path):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_keep_many, args=(tmp_path / "w", 100 * i)) for i in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    weights = Weights(tmp_path / "w", quota_mb=0.2)
    assert weights.check() == []
    assert 0 < weights.size <= 0.2 * 2**20 + 3 * 20_000


def test_the_toy_begins_where_it_is_told(weights):
    kept = weights.keep(task_of(), STRATEGY, parts_of(0.8), run="r")
    task = task_of(seed=4)
    spec = TrainingSpec(task.kind, 2, {}, initial=read(kept.path), frozen=True)
    assert Begins().init(task.inputs, task.target, spec).body == 0.8
    assert describe(kept.path).rows == 40


def test_forgetting_a_task_reaches_what_began_with_its_weights(weights):
    first = weights.keep(task_of(1), STRATEGY, parts_of(), run="r")
    second = weights.keep(task_of(2), STRATEGY, parts_of(), run="s", origin=first.path)
    third = weights.keep(task_of(3), STRATEGY, parts_of(), run="t", origin=second.path)
    weights.keep(task_of(4), STRATEGY, parts_of(), run="u")
    assert third.tasks == {task_of(i).fingerprint for i in (1, 2, 3)}
    assert [s.run for _, s in weights.sources(task_of(1), LEARNERS).found] == ["u"]
    assert weights.forget(task=task_of(1).fingerprint) == 3
    assert [source.run for source in weights] == ["u"]
    assert weights.keep(task_of(5), STRATEGY, parts_of(), run="v", origin=first.path) is None
