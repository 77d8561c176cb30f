from __future__ import annotations

import os
import signal
import sqlite3
import time
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from gstar.errors import StorageError, UsageError
from gstar.experience import Experience, file, store
from gstar.experience import tables as t
from gstar.strategy import Strategy
from gstar.testing.experience import KIND, METRIC, begin, filled, toy_task, toy_trial

POINTS = ("begin", "after_trials", "before_commit", "after_commit")


@pytest.mark.parametrize("point", POINTS)
def test_killed_while_appending(place: Path, in_child, monkeypatch: pytest.MonkeyPatch, point: str):
    task = toy_task(1)
    with Experience.open(place) as experience:
        run = begin(experience, task)
        experience.append([toy_trial(task, run, 0)])

    def work() -> None:
        with Experience.open(place) as experience:
            experience.append([toy_trial(task, run, n) for n in range(1, 4)])

    monkeypatch.setenv("GSTAR_FAILPOINT", f"experience.append.{point}:kill")
    assert in_child(work) == -signal.SIGKILL
    monkeypatch.delenv("GSTAR_FAILPOINT")
    with Experience.open(place) as experience:
        numbers = [t.number for t in experience.trials(run=run)]
        assert numbers == ([0, 1, 2, 3] if point == "after_commit" else [0])
        assert experience.check() == []
        experience.append([toy_trial(task, run, 4)])
        assert experience.records(KIND).counts.sum() == len(numbers) + 1


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("add_task", lambda e: e.add_task(toy_task(5), np.ones(3))),
        ("start_run", lambda e: e.start_run(toy_task(0).fingerprint, {})),
        ("finish_run", lambda e: e.finish_run(e.runs()[0].id, status="failed", score=None, seconds=9.0, summary={})),
        ("forget", lambda e: e.forget(toy_task(0).fingerprint)),
        ("remove_run", lambda e: e.remove_run(e.runs()[0].id)),
        ("add_policy", lambda e: e.add_policy("toy", "1", {"w": np.ones(2)}, {}, accepted=True)),
    ],
)
def test_killed_in_any_other_write(place: Path, in_child, monkeypatch: pytest.MonkeyPatch, name: str, change):
    with Experience.open(place) as experience:
        filled(experience)
        before = (experience.status(), experience.runs())

    def work() -> None:
        with Experience.open(place) as experience:
            change(experience)

    monkeypatch.setenv("GSTAR_FAILPOINT", f"experience.{name}.before_commit:kill")
    assert in_child(work) == -signal.SIGKILL
    monkeypatch.delenv("GSTAR_FAILPOINT")
    with Experience.open(place) as experience:
        assert (experience.status(), experience.runs()) == before
        assert experience.check() == []
        change(experience)


def test_killed_at_random_moments(place: Path, start_child, wait_for):
    """Trials are there in the order they were written, up to some point, and the cells agree."""
    task = toy_task(1)
    with Experience.open(place) as experience:
        experience.add_task(task, np.ones(3))
    rng, begun = np.random.default_rng(0), place.with_name("begun")

    def work() -> None:
        with Experience.open(place) as experience:
            run = experience.start_run(task.fingerprint, {})
            for n in range(10_000):
                experience.append([toy_trial(task, run, n, strategy=Strategy("linear", {"a": float(n % 7)}))])
                begun.touch()

    for _ in range(6):
        begun.unlink(missing_ok=True)
        pid = start_child(work)
        while not begun.exists():
            time.sleep(0.01)
        time.sleep(0.05 + 0.2 * rng.random())
        os.kill(pid, signal.SIGKILL)
        assert wait_for(pid) == -signal.SIGKILL
    with Experience.open(place) as experience:
        assert experience.check() == []
        for run in experience.runs():
            assert [t.number for t in experience.trials(run=run.id)] == list(range(run.trials))
        assert experience.status().trials > 0


def test_eight_processes_write_one_file(place: Path, start_child, wait_for):
    n_processes, n_trials = 8, 150
    task = toy_task(1)
    with Experience.open(place) as experience:
        experience.add_task(task, np.ones(3))

    def work() -> None:
        with Experience.open(place) as experience:
            run = experience.start_run(task.fingerprint, {})
            for n in range(n_trials):
                experience.append([toy_trial(task, run, n, strategy=Strategy("linear", {"a": float(n % 9)}))])

    pids = [start_child(work) for _ in range(n_processes)]
    assert [wait_for(pid) for pid in pids] == [0] * n_processes
    with Experience.open(place) as experience:
        assert [run.trials for run in experience.runs()] == [n_trials] * n_processes
        assert experience.records(KIND).counts.sum() == n_processes * n_trials
        assert experience.check() == []


def test_a_connection_does_not_cross_a_fork(place: Path, in_child):
    task = toy_task(1)
    with Experience.open(place) as experience:
        run = begin(experience, task)
        experience.append([toy_trial(task, run, 0)])
        inherited = experience._own.engine.pool

        def work() -> None:
            experience.append([toy_trial(task, run, 1)])
            assert experience._own.engine.pool is not inherited
            assert inherited in store._OF_PARENTS
            assert len(experience.history(task.fingerprint, METRIC)) == 2

        assert in_child(work) == 0
        experience.append([toy_trial(task, run, 2)])
        assert [t.number for t in experience.trials(run=run)] == [0, 1, 2]
        assert experience._own.engine.pool is inherited
        assert experience.check() == []


def test_a_full_disk_loses_one_batch_and_nothing_else(place: Path):
    with Experience.open(place) as experience:
        (task,) = filled(experience, 1)
        run = experience.start_run(task.fingerprint, {})
        with experience._own.engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        long = [toy_trial(task, run, n, policy="p" * 3_000) for n in range(20)]
        with pytest.raises(StorageError, match=r"no space left for .*experience\.db"):
            experience.append(long)
        assert (experience.trials(run=run), experience.check()) == ((), [])
        with experience._own.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 100000")
        experience.append(long)
        assert (len(experience.trials(run=run)), experience.check()) == (20, [])


def test_says_so_if_others_hold_the_file_for_too_long(place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(file, "BUSY_S", 0.01)
    with Experience.open(place) as experience:
        (task,) = filled(experience, 1)
        run = experience.start_run(task.fingerprint, {})
        other = sqlite3.connect(place, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match=r"in use by another process for more than 0\.01 s"):
            experience.append([toy_trial(task, run, 0)])
        other.execute("ROLLBACK")
        other.close()
        experience.append([toy_trial(task, run, 0)])
        assert len(experience.trials(run=run)) == 1


def test_damage_is_noticed_when_opened_or_in_a_large_file_when_met(place: Path, monkeypatch: pytest.MonkeyPatch):
    with Experience.open(place) as experience:
        (task,) = filled(experience, 1, 60)
    size = place.stat().st_size
    with place.open("r+b") as damaged:
        damaged.seek(size // 2 // 4096 * 4096)
        damaged.write(b"\xff" * (size - damaged.tell()))
    with pytest.raises(StorageError, match=r"experience\.db is damaged"):
        Experience.open(place)
    monkeypatch.setattr(file, "CHECKED_BYTES", 0)
    with Experience.open(place) as experience:
        with pytest.raises(StorageError, match=r"experience\.db is damaged .* Restore a backup"):
            experience.history(task.fingerprint, METRIC)
        assert any("damaged" in problem for problem in experience.check())


def test_runs_of_dead_processes_are_abandoned(place: Path, in_child):
    with Experience.open(place) as experience:
        (task,) = filled(experience, 1)
        mine = experience.start_run(task.fingerprint, {})

        def work() -> None:
            experience.start_run(task.fingerprint, {})
            os.kill(os.getpid(), signal.SIGKILL)

        assert in_child(work) == -signal.SIGKILL
        assert sorted(run.status for run in experience.runs()) == ["completed", "running", "running"]
        experience.start_run(task.fingerprint, {})
        assert sorted(run.status for run in experience.runs()) == ["abandoned", "completed", "running", "running"]
        assert experience.run(mine).status == "running"


def test_a_process_number_that_was_given_again_is_not_mistaken(place: Path, monkeypatch: pytest.MonkeyPatch):
    with Experience.open(place) as experience:
        (task,) = filled(experience, 1)
        monkeypatch.setattr("psutil.Process.create_time", lambda self: 1.0)
        run = experience.start_run(task.fingerprint, {})
        monkeypatch.undo()
        experience.start_run(task.fingerprint, {})
        assert experience.run(run).status == "abandoned"


def test_a_run_of_another_machine_is_left_alone(place: Path, monkeypatch: pytest.MonkeyPatch):
    with Experience.open(place) as experience:
        (task,) = filled(experience, 1)
        monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
        run = experience.start_run(task.fingerprint, {})
        monkeypatch.undo()
        experience.start_run(task.fingerprint, {})
        assert experience.run(run).status == "running"


def test_what_stumbles_is_undone(place: Path, monkeypatch: pytest.MonkeyPatch):
    with Experience.open(place) as experience:
        (task,) = filled(experience, 1)
        run = experience.start_run(task.fingerprint, {})
        monkeypatch.setenv("GSTAR_FAILPOINT", "experience.append.before_commit:raise")
        with pytest.raises(RuntimeError, match="was reached"):
            experience.append([toy_trial(task, run, 0)])
        monkeypatch.delenv("GSTAR_FAILPOINT")
        assert (experience.trials(run=run), experience.check()) == ((), [])


def test_a_strategy_must_go_into_json(place: Path):
    task = toy_task(1)
    with Experience.open(place) as experience:
        run = begin(experience, task)
        with pytest.raises(UsageError, match="Expected a strategy of JSON values"):
            experience.append([toy_trial(task, run, 0, strategy=Strategy("linear", {"a": float("nan")}))])


@pytest.mark.parametrize("features", [np.array([1.0, np.nan]), np.ones((2, 2))])
def test_meta_features_are_a_finite_vector(place: Path, features: np.ndarray):
    with Experience.open(place) as experience, pytest.raises(UsageError, match="finite meta-features"):
        experience.add_task(toy_task(1), features)


def test_a_task_that_is_known_gets_its_new_name(place: Path):
    with Experience.open(place) as experience:
        run = begin(experience, toy_task(1), family="shops")
        begin(experience, toy_task(1, name="renamed"))
        assert experience.run(run).task_name == "renamed"
        experience.append([toy_trial(toy_task(1), run, 0)])
        assert experience.records(KIND).families == ("shops",)


def test_weights_are_finite_and_damage_is_noticed(place: Path):
    with Experience.open(place) as experience:
        with pytest.raises(UsageError, match="Expected finite weights, but 'w'"):
            experience.add_policy("toy", "1", {"w": np.array([np.inf])}, {})
        with pytest.raises(UsageError, match="has no version '3'"):
            experience.accept_policy("toy", "3")
        experience.add_policy("toy", "1", {"w": np.ones(2)}, {})
        assert experience.policy("toy") is None
    with sqlite3.connect(place) as connection:
        connection.execute("UPDATE policies SET weights = x'ff00'")
    connection.close()
    with Experience.open(place) as experience, pytest.raises(StorageError, match=r"weights of policy 'toy' .* damaged"):
        experience.policies("toy")


def test_threads_share_one_experience(place: Path):
    from concurrent.futures import ThreadPoolExecutor

    with Experience.open(place) as experience, ThreadPoolExecutor(4) as threads:
        task = toy_task(1)
        runs = [begin(experience, task) for _ in range(4)]

        def work(run: str) -> int:
            for n in range(20):
                experience.append([toy_trial(task, run, n)])
            return len(experience.trials(run=run))

        assert list(threads.map(work, runs)) == [20] * 4
        assert experience.check() == []


def test_a_read_only_store_is_never_written(place: Path):
    with Experience.open(place) as experience:
        filled(experience)
    frozen = store.open_file(place, read_only=True)
    with pytest.raises(StorageError, match="used read-only"):
        frozen.start_run(toy_task(0).fingerprint, {})
    frozen.close()


def test_what_is_referred_to_cannot_go(place: Path):
    with Experience.open(place) as experience:
        filled(experience)
        for table in (t.tasks, t.strategies, t.runs):
            with pytest.raises(StorageError, match="FOREIGN KEY constraint failed"):
                experience._own.write("delete", lambda connection, table=table: connection.execute(sa.delete(table)))


def test_many_processes_write_to_one_server(server_place: str, start_child, wait_for):
    """All open it at once while it is empty, and write trials of the same strategies on the same task."""
    task = toy_task(1)

    def work() -> None:
        with Experience.open(server_place) as experience:
            run = begin(experience, task)
            for n in range(6):
                experience.append([toy_trial(task, run, n)])

    assert [wait_for(pid) for pid in [start_child(work) for _ in range(4)]] == [0] * 4
    with Experience.open(server_place) as experience:
        assert experience.records(KIND).counts.sum() == 24
        assert len(experience.records(KIND).strategies) == 6
        assert experience.check() == []


def test_a_forked_process_has_its_own_connection_to_a_server(server_place: str, in_child):
    task = toy_task(1)
    with Experience.open(server_place) as experience:
        run = begin(experience, task)
        assert in_child(lambda: experience.append([toy_trial(task, run, 0)])) == 0
        experience.append([toy_trial(task, run, 1)])
        assert [t.number for t in experience.trials(run=run)] == [0, 1]


def test_nothing_half_written_stays_on_a_server(server_place: str, in_child, monkeypatch: pytest.MonkeyPatch):
    task = toy_task(1)
    with Experience.open(server_place) as experience:
        run = begin(experience, task)
        monkeypatch.setenv("GSTAR_FAILPOINT", "experience.append.before_commit:kill")
        assert in_child(lambda: experience.append([toy_trial(task, run, 0)])) == -signal.SIGKILL
        monkeypatch.delenv("GSTAR_FAILPOINT")
        experience.append([toy_trial(task, run, 1)])
        assert [t.number for t in experience.trials(run=run)] == [1]
        assert experience.check() == []


def test_a_server_may_restart_between_two_writes(server_place: str):
    task = toy_task(1)
    with Experience.open(server_place) as experience:
        run = begin(experience, task)
        with sa.create_engine(server_place, poolclass=sa.NullPool).connect() as other:
            same_test = "pid <> pg_backend_pid() AND application_name = current_setting('application_name')"
            other.exec_driver_sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {same_test}")
        experience.append([toy_trial(task, run, 0)])
        assert len(experience.trials(run=run)) == 1


def test_a_database_of_another_program_is_left_alone(server_place: str):
    with sa.create_engine(server_place, poolclass=sa.NullPool).begin() as connection:
        connection.exec_driver_sql("CREATE TABLE customers (id INTEGER)")
    with pytest.raises(StorageError, match=r"made by another program \(its tables: customers\)"):
        Experience.open(server_place)
