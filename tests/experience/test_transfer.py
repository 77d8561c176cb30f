from __future__ import annotations

import contextlib
import gzip
import json
import signal
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from gstar.errors import StorageError
from gstar.experience import Experience, transfer
from gstar.testing.experience import (
    HARD_TEXTS,
    KIND,
    METRIC,
    begin,
    failed_trial,
    filled,
    same_trial,
    toy_strategy,
    toy_task,
    toy_trial,
)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    path = tmp_path / "other.db"
    with Experience.open(path) as experience:
        task = toy_task(1)
        run = begin(experience, task, family="shops")
        experience.append([toy_trial(task, run, n, query_score=0.5) for n in range(3)])
        experience.append([failed_trial(task, run, 3 + n, error=text) for n, text in enumerate(HARD_TEXTS)])
        experience.finish_run(run, status="completed", score=0.9, seconds=3.0, summary={"a": 1})
    return path


def spoil(path: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


@pytest.mark.parametrize("name", ["all.jsonl", "all.jsonl.gz"])
def test_all_that_is_exported_comes_in_again(place: Path, other: Path, tmp_path: Path, name: str):
    with Experience.open(other) as source, Experience.open(place) as experience:
        source.export(tmp_path / name)
        counts = experience.absorb(tmp_path / name)
        assert counts == {"tasks": 1, "strategies": 9, "runs": 1, "trials": 9, "known": 0, "refused": 0}
        assert experience.absorb(tmp_path / name) == dict.fromkeys(counts, 0) | {"known": 20}
        task = toy_task(1).fingerprint
        pairs = zip(source.history(task, METRIC), experience.history(task, METRIC), strict=True)
        assert all(same_trial(a, b) for a, b in pairs)
        assert source.runs() == experience.runs()
        assert experience.records(KIND).families == ("shops",)
        assert experience.check() == []


def test_a_union_keeps_what_both_have(place: Path, tmp_path: Path):
    task = toy_task(1)
    with Experience.open(place) as one:
        run = begin(one, task)
        one.append([toy_trial(task, run, n) for n in (0, 1)])
        one.backup(tmp_path / "copy.db")
    with Experience.open(tmp_path / "copy.db") as two, Experience.open(place) as one:
        two.append([toy_trial(task, run, 2, strategy=toy_strategy(0), score=1.0)])
        one.append([toy_trial(task, run, 3)])
        assert one.merge(tmp_path / "copy.db")["trials"] == 1
        assert two.merge(place)["trials"] == 1
        assert [t.number for t in one.trials(run=run)] == [t.number for t in two.trials(run=run)] == [0, 1, 2, 3]
        np.testing.assert_array_equal(one.records(KIND).scores, two.records(KIND).scores)
        assert one.records(KIND).scores[0, 0] == 0.75
        assert (one.check(), two.check()) == ([], [])


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE trials SET score = 9e999 WHERE number = 0",
        "UPDATE trials SET score = 'high' WHERE number = 0",
        "UPDATE trials SET score = NULL WHERE number = 0",
        "UPDATE trials SET cost_s = -1 WHERE number = 0",
        "UPDATE trials SET query_score = -9e999 WHERE number = 0",
        "UPDATE trials SET status = 'won' WHERE number = 0",
        "UPDATE trials SET number = -1 WHERE number = 0",
        "UPDATE trials SET seed = 'x' WHERE number = 0",
        "UPDATE trials SET versions = '[1]' WHERE number = 0",
        "UPDATE trials SET versions = '{' WHERE number = 0",
        "UPDATE trials SET error = x'00' WHERE number = 0",
        "UPDATE trials SET created = 'now' WHERE number = 0",
    ],
)
def test_refuses_a_trial_that_makes_no_sense(place: Path, other: Path, change: str):
    spoil(other, change)
    with Experience.open(place) as experience:
        counts = experience.merge(other)
        assert (counts["trials"], counts["refused"]) == (8, 1)
        assert experience.check() == []


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE tasks SET fingerprint = '../../etc/passwd'",
        "UPDATE tasks SET kind = 'ternary'",
        "UPDATE tasks SET form = 'pickle'",
        "UPDATE tasks SET n_rows = -5",
        "UPDATE tasks SET n_rows = 9e18",
        "UPDATE tasks SET meta_features = x'000000000000f07f'",
        "UPDATE tasks SET meta_features = x'0000'",
        "UPDATE tasks SET meta_features = 'text'",
        "UPDATE runs SET uuid = 'x'",
        "UPDATE runs SET seconds = -1",
        "UPDATE runs SET settings = 'eval(1)'",
    ],
)
def test_refuses_what_refers_to_nonsense(place: Path, other: Path, change: str):
    spoil(other, change)
    with Experience.open(place) as experience:
        counts = experience.merge(other)
        assert (counts["runs"], counts["trials"]) == (0, 0)
        assert counts["refused"] >= 10
        assert experience.check() == []


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE strategies SET hash = '0123456789abcdef' WHERE id = 1",
        "UPDATE strategies SET json = '[]' WHERE id = 1",
        "UPDATE strategies SET json = replace(json, '0.0', '1.5') WHERE id = 1",
        "UPDATE strategies SET json = printf('%.*c', 200000, '[') WHERE id = 1",
    ],
)
def test_refuses_a_strategy_that_is_not_what_it_says(place: Path, other: Path, change: str):
    spoil(other, change)
    with Experience.open(place) as experience:
        counts = experience.merge(other)
        assert (counts["strategies"], counts["trials"], counts["refused"]) == (8, 8, 2)
        assert experience.check() == []


def test_cuts_what_is_too_long_and_clips_what_is_too_large(place: Path, other: Path):
    spoil(
        other,
        "UPDATE trials SET error = printf('%.*c', 500000, 'x') WHERE number = 3",
        "UPDATE tasks SET name = printf('%.*c', 500000, 'n'), meta_features = x'000000000000f07e'",
        "UPDATE runs SET summary = '{\"a\": \"' || printf('%.*c', 500000, 'x') || '\"}', created = 9e15",
    )
    with Experience.open(place) as experience:
        assert experience.merge(other)["refused"] == 0
        run = experience.runs()[0]
        assert (len(run.task_name), run.summary) == (transfer.NAME_LIMIT, {})
        assert run.created < 9e15
        assert len(experience.trials(run=run.id)[3].error) == transfer.ERROR_LIMIT
        assert experience.records(KIND).meta_features.tolist() == [[transfer.META_FEATURE_LIMIT]]


def test_stored_cells_of_others_are_not_believed(place: Path, other: Path):
    spoil(other, "UPDATE cells SET packed = zeroblob(28)")
    with Experience.open(place) as experience:
        experience.merge(other)
        assert experience.records(KIND).counts.sum() == 3
        assert experience.check() == []


def test_a_trial_must_be_of_the_task_of_its_run(place: Path, other: Path):
    with Experience.open(other) as experience:
        filled(experience, 1)
    spoil(other, "UPDATE trials SET task = 2 WHERE number = 0 AND task = 1")
    with Experience.open(place) as experience:
        assert experience.merge(other)["refused"] == 1
        assert experience.check() == []


def test_refuses_a_store_that_is_no_store(place: Path, tmp_path: Path):
    for name, content in (("a.db", b""), ("b.db", b"\x80\x04cos\nsystem\n")):
        (tmp_path / name).write_bytes(content)
        with Experience.open(place) as experience, pytest.raises(StorageError, match=r"is empty|is not an SQLite file"):
            experience.merge(tmp_path / name)


LINES = [
    "",
    "null",
    "[1, 2]",
    '{"type": "policy", "weights": "cos"}',
    '{"type": ["trial"]}',
    '{"type": "trial"}',
    '{"type": "task", "fingerprint": 3}',
    "[" * 100_000,
    '{"type": "task", "name": "' + "x" * 3_000_000 + '"}',
    "\x00",
]


def test_lines_that_make_no_sense_are_refused(place: Path, tmp_path: Path):
    path = tmp_path / "lines.jsonl"
    with Experience.open(mode="off") as source:
        filled(source, 1)
        source.export(path)
    path.write_text("\n".join([*LINES, *path.read_text().splitlines(), *LINES]))
    with Experience.open(place) as experience:
        counts = experience.absorb(path)
        assert counts["trials"] == 4
        assert counts["refused"] >= 2 * len(LINES) - 1
        assert experience.check() == []


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.jsonl", b"\xff\xfe\x00"), ("b.jsonl.gz", b"no gzip"), ("c.jsonl.gz", gzip.compress(b"{}\n" * 99)[:-9])],
)
def test_files_that_cannot_be_read(place: Path, tmp_path: Path, name: str, content: bytes):
    (tmp_path / name).write_bytes(content)
    with Experience.open(place) as experience:
        with pytest.raises(StorageError, match="cannot be read as lines of JSON"):
            experience.absorb(tmp_path / name)
        with pytest.raises(StorageError, match="cannot be read as lines of JSON"):
            experience.absorb(tmp_path / "none.jsonl")


def test_an_export_is_whole_or_absent(other: Path, tmp_path: Path):
    with Experience.open(other) as experience:
        with pytest.raises(StorageError, match="cannot be written"):
            experience.export(tmp_path / "no folder" / "all.jsonl")
        experience.export(tmp_path / "all.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert [line["type"] for line in lines] == ["task"] + ["strategy"] * 9 + ["run"] + ["trial"] * 9
    assert sorted(p.name for p in tmp_path.iterdir()) == ["all.jsonl", "other.db"]


def test_killed_in_a_merge_it_can_be_done_again(place: Path, other: Path, in_child, monkeypatch: pytest.MonkeyPatch):
    with Experience.open(place) as experience:
        filled(experience, 1)

    def work() -> None:
        with Experience.open(place) as experience:
            experience.merge(other)

    monkeypatch.setattr(transfer, "BATCH", 4)
    monkeypatch.setenv("GSTAR_FAILPOINT", "experience.merge.before_commit:kill")
    assert in_child(work) == -signal.SIGKILL
    monkeypatch.delenv("GSTAR_FAILPOINT")
    with Experience.open(place) as experience:
        assert (experience.status().trials, experience.check()) == (4, [])
        assert experience.merge(other)["trials"] == 9
        assert experience.check() == []
