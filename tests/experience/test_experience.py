from __future__ import annotations

import os
import sqlite3
import stat
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from gstar.errors import MissingExtraError, StorageError, UsageError
from gstar.experience import Experience, ExperienceWarning, file, shipped, write_shipped
from gstar.metric import TaskKind
from gstar.testing.experience import (
    KIND,
    METRIC,
    ExperienceContract,
    ExperienceFactory,
    begin,
    filled,
    toy_task,
    toy_trial,
)


def with_others(place: Path | str) -> None:
    """Fills an experience with trials that the contract does not ask for."""
    with Experience.open(place) as experience:
        task = toy_task(77)
        run = begin(experience, task)
        experience.append([toy_trial(task, run, n, metric="log_loss") for n in range(40, 44)])


class TestFile(ExperienceContract):
    @pytest.fixture
    def experience_factory(self, place: Path) -> ExperienceFactory:
        return lambda: Experience.open(place)


class TestOff(ExperienceContract):
    @pytest.fixture
    def experience_factory(self) -> ExperienceFactory:
        return lambda: Experience.open(mode="off")


class TestServer(ExperienceContract):
    @pytest.fixture
    def experience_factory(self, server_place: str) -> ExperienceFactory:
        return lambda: Experience.open(server_place)


class TestFrozenServer(ExperienceContract):
    @pytest.fixture
    def experience_factory(self, server_place: str) -> ExperienceFactory:
        with_others(server_place)
        return lambda: Experience.open(server_place, mode="frozen")


class TestFrozenOverNothing(ExperienceContract):
    @pytest.fixture
    def experience_factory(self, place: Path) -> ExperienceFactory:
        return lambda: Experience.open(place, mode="frozen")


class TestFrozenOverOthers(ExperienceContract):
    @pytest.fixture
    def experience_factory(self, place: Path) -> ExperienceFactory:
        with_others(place)
        return lambda: Experience.open(place, mode="frozen")


def test_frozen_reads_but_does_not_write(place: Path):
    with Experience.open(place) as experience:
        (task,) = filled(experience, 1)
    before = place.read_bytes()
    with Experience.open(place, mode="frozen") as frozen:
        run = begin(frozen, task)
        frozen.append([toy_trial(task, run, n, score=0.75) for n in (0, 9)])
        assert len(frozen.history(task.fingerprint, METRIC)) == 6
        records = frozen.records(KIND)
        assert records.counts.tolist() == [[2, 1, 1, 1, 1]]
        assert records.scores[0, 0] == (0.5 + 0.75) / 2
        assert len(frozen.runs()) == 2
        status = frozen.status()
        assert (status.trials, status.trials_in_memory, status.keeps, status.mode) == (4, 2, False, "frozen")
        for change in (lambda: frozen.forget(task.fingerprint), lambda: frozen.remove_run(frozen.runs()[-1].id)):
            with pytest.raises(StorageError, match="read-only"):
                change()
    assert place.read_bytes() == before
    assert os.listdir(place.parent) == [place.name]


def test_off_leaves_no_trace_and_reads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with Experience.open(mode="off") as experience:
        filled(experience)
        assert experience.status().keeps is False
    assert os.listdir(tmp_path) == []


def test_what_is_kept_is_there_next_time(place: Path):
    with Experience.open(place) as experience:
        tasks = filled(experience)
        before = experience.records(KIND)
    with Experience.open(f"sqlite:///{place}") as experience:
        after = experience.records(KIND)
        assert after.tasks == tuple(task.fingerprint for task in tasks)
        np.testing.assert_array_equal(after.scores, before.scores)
        assert experience.check() == []


def test_sees_what_others_write(place: Path):
    with Experience.open(place) as one, Experience.open(place) as other:
        filled(one, 1)
        assert other.records(KIND).counts.sum() == 4
        filled(one, 2)
        assert other.records(KIND).counts.sum() == 12


def test_records_are_cached_until_something_changes(place: Path):
    with Experience.open(place) as experience:
        (task,) = filled(experience, 1)
        first = experience.records(KIND)
        assert experience.records(KIND) is first
        with pytest.raises(ValueError, match="read-only"):
            first.scores[0, 0] = 1.0
        experience.add_task(task, np.ones(7))
        assert experience.records(KIND).meta_features.shape == (1, 7)


def test_records_of_nothing_are_empty():
    with Experience.open(mode="off", shipped=False) as experience:
        for kind in TaskKind:
            records = experience.knowledge(kind)
            assert (len(records), records.strategies, records.kind) == (0, (), kind)


NO_PLACE = ["file in the way", "/proc/gstar/experience.db"]


@pytest.mark.parametrize("where", NO_PLACE)
def test_works_in_memory_with_one_warning_where_there_is_no_disk(tmp_path: Path, where: str):
    (tmp_path / "file in the way").touch()
    place = where if where.startswith("/") else tmp_path / where / "experience.db"
    with pytest.warns(ExperienceWarning, match="New trials are not kept") as said:
        experience = Experience.open(place)
    with experience:
        filled(experience)
        assert experience.records(KIND).counts.sum() == 8
        assert "GSTAR_EXPERIENCE" in experience.warning
        assert experience.status().warning == experience.warning
    assert len(said) == 1


def test_a_disk_that_is_full_at_first_use_is_told_in_one_line(place: Path, monkeypatch: pytest.MonkeyPatch):
    def full(path: Path) -> bool:
        raise sa.exc.OperationalError("BEGIN", {}, sqlite3.OperationalError("disk is full"))

    monkeypatch.setattr(file, "create", full)
    with pytest.warns(ExperienceWarning, match=r"cannot be written \(disk is full\)\. Set GSTAR_EXPERIENCE") as said:
        experience = Experience.open(place)
    with experience:
        filled(experience)
    assert [str(one.message).count("\n") for one in said] == [0]


def test_reads_what_it_may_not_write(place: Path, monkeypatch: pytest.MonkeyPatch):
    with Experience.open(place) as experience:
        filled(experience)
    before = place.read_bytes()
    monkeypatch.setattr("os.access", lambda path, how: False)  # chmod does not bind root
    with pytest.warns(ExperienceWarning, match="it may not be written") as said:
        experience = Experience.open(place)
    with experience:
        assert len(experience.runs()) == 2
        filled(experience, 3)
        assert (len(experience.runs()), experience.records(KIND).counts.sum()) == (5, 20)
        status = experience.status()
        assert (status.trials, status.trials_in_memory, status.keeps) == (8, 12, False)
    assert len(said) == 1
    assert place.read_bytes() == before


def test_modes_and_urls_are_checked(tmp_path: Path):
    with pytest.raises(UsageError, match="Expected a mode among"):
        Experience.open(tmp_path / "e.db", mode="of")
    for url in ("mysql://host/db", "sqlite://", "sqlite:///"):
        with pytest.raises(UsageError, match="Expected a path, sqlite:///PATH or postgresql"):
            Experience.open(url)


def test_a_server_needs_its_driver_and_hides_its_password(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtraError, match=r"ann:\*\*\*@host/db needs psycopg; .* 'gstar\[postgres\]'"):
        Experience.open("postgresql://ann:secret@host/db")


def test_a_server_that_does_not_answer_is_named():
    pytest.importorskip("psycopg")
    with pytest.raises(StorageError, match=r"ann:\*\*\*@localhost:1/db cannot be used: .*refused") as caught:
        Experience.open("postgresql://ann:secret@localhost:1/db")
    assert "secret" not in str(caught.value)


def test_the_default_place_is_asked_for(place: Path, monkeypatch: pytest.MonkeyPatch):
    import types

    monkeypatch.setitem(sys.modules, "gstar.places", types.SimpleNamespace(experience_url=lambda: str(place)))
    with Experience.open() as experience:
        assert experience.status().place == str(place)
    assert place.exists()


def test_shipped_experience_counts_together_with_own(tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "experience.jsonl.gz"
    with Experience.open(mode="off", shipped=False) as source:
        public = filled(source, 2)
        write_shipped(source, path)
    monkeypatch.setattr(shipped, "HOME", path)
    with Experience.open(place) as experience:
        task = toy_task(9)
        run = begin(experience, task)
        experience.append([toy_trial(task, run, 1)])
        known = experience.knowledge(KIND)
        assert known.tasks == (*(t.fingerprint for t in public), task.fingerprint)
        assert known.counts.sum() == 9
        assert experience.knowledge(KIND) is known
        assert len(experience.records(KIND)) == 1
    with Experience.open(mode="off") as experience:
        assert len(experience.knowledge(KIND)) == 2
        assert len(experience.knowledge(KIND, "accuracy")) == 2
        assert len(experience.knowledge(TaskKind.REGRESSION)) == 0
    with Experience.open(mode="off", shipped=False) as experience:
        assert len(experience.knowledge(KIND)) == 0
    monkeypatch.setenv("GSTAR_SHIPPED", "off")
    with Experience.open(mode="off") as experience:
        assert len(experience.knowledge(KIND)) == 0


def test_runs_are_found_by_the_beginning_of_their_name(place: Path):
    with Experience.open(place) as experience:
        filled(experience, 2)
        with pytest.raises(UsageError, match="No run 'xyz'"):
            experience.run("xyz")
        with pytest.raises(UsageError, match="No run ''"):
            experience.run("")
        with pytest.raises(UsageError, match="No run '%'"):
            experience.run("%")


def test_merge_says_what_is_wrong_with_the_other(place: Path, tmp_path: Path):
    with Experience.open(place) as experience:
        with pytest.raises(StorageError, match="is not there"):
            experience.merge(tmp_path / "none.db")
        with pytest.raises(UsageError, match="is this one"):
            experience.merge(place)


@pytest.mark.skipif(os.name == "nt", reason="permissions are others there")
def test_a_private_experience_has_a_private_backup(place: Path, tmp_path: Path):
    with Experience.open(place) as experience:
        place.chmod(0o600)
        experience.backup(tmp_path / "copy.db")
    assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600


def test_backup_is_whole_and_never_overwrites(place: Path, tmp_path: Path):
    copy = tmp_path / "copies" / "backup.db"
    with Experience.open(place) as experience:
        filled(experience)
        experience.backup(copy)
        with pytest.raises(StorageError, match="exists"):
            experience.backup(copy)
    with Experience.open(copy) as experience:
        assert (experience.status().trials, experience.check()) == (8, [])
    with Experience.open(mode="off") as experience, pytest.raises(StorageError, match="not a file"):
        experience.backup(tmp_path / "x.db")


def test_no_warning_where_all_is_well(place: Path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with Experience.open(place) as experience:
            assert experience.warning == ""
