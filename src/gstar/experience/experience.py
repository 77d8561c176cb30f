"""All that gstar remembers, in one object.

    with Experience.open() as experience:
        experience.add_task(task, meta_features)
        run = experience.start_run(task.fingerprint, {"budget_s": 60})
        experience.append([trial])                     # trial.run == run
        records = experience.knowledge(task.kind, task.metric.name)

An experience has one or two layers. ``on``: a file that is read and written. ``frozen``: a
file that is only read, and memory for what is new. ``off``: memory alone. Where there is no
disk, or none that may be written, ``on`` becomes one of the others, with one warning.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import sqlalchemy as sa

from gstar.errors import StorageError, UsageError
from gstar.experience import file, health, removal, shipped, transfer
from gstar.experience.knowledge import join
from gstar.experience.store import Store, open_file, open_memory, open_server
from gstar.experience.values import Array, ExperienceStatus, ExperienceWarning, PolicyVersion, Run
from gstar.metric import DEFAULT_METRIC, TaskKind
from gstar.records import Records
from gstar.task import Task
from gstar.trial import Trial
from gstar.weights import Weights

MODES: Final = ("on", "frozen", "off")
WEIGHTS_SUFFIX: Final = ".weights"
"""What the folder of weights is called more than the file beside it."""


class Experience:
    """Remembers tasks, strategies, runs, trials and policies; see `Experience.open`.

    Args:
        layers: Stores, oldest knowledge first; the last one is written.
        mode: ``"on"``, ``"frozen"`` or ``"off"``.
        warning: Why new trials are not kept although the mode is ``"on"``; else empty.
        shipped: File of shipped experience that counts too, or None.
        weights: The weights of networks that lie beside a file; None where there is none.
    """

    def __init__(
        self,
        layers: Sequence[Store],
        *,
        mode: str = "on",
        warning: str = "",
        shipped: Path | None = None,
        weights: Weights | None = None,
    ):
        self._layers = tuple(layers)
        self._own = self._layers[-1]
        self.mode = mode
        self.warning = warning
        self.shipped = shipped
        self.weights = weights
        self._cache: dict[tuple[str, str], tuple[Any, Records]] = {}
        self._joined: dict[tuple[str, str], tuple[Records, Records]] = {}

    @staticmethod
    def open(
        url: str | Path | None = None, *, mode: str = "on", shipped: bool | None = None, weights_mb: float = 0.0
    ) -> Experience:
        """Opens the experience at a place, making it if there is none.

        Args:
            url: A path, ``sqlite:///path``, ``postgresql://...``, or None for the default place.
            mode: ``"on"``: read and write; ``"frozen"``: read, and keep new trials in memory for
                this process only; ``"off"``: neither read nor keep.
            shipped: Whether the experience that comes with the package counts; None: unless
                ``GSTAR_SHIPPED=off``; that variable may also name another such file.
            weights_mb: Room in MiB for the weights of networks, in a folder beside the file; 0: none are kept or used.

        Raises:
            StorageError: If there is something that is not a whole experience.
            UsageError: If the mode or the kind of URL is unknown.
        """
        if mode not in MODES:
            raise UsageError(f"Expected a mode among {MODES}, got {mode!r}.")
        layers, warning = ([open_memory()], "") if mode == "off" else _open_layers(_place(url), mode)
        if warning:
            warnings.warn(warning, ExperienceWarning, stacklevel=2)
        weights = _weights_beside(layers[0], weights_mb)
        return Experience(layers, mode=mode, warning=warning, shipped=_shipped_file(shipped), weights=weights)

    def __enter__(self) -> Experience:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the file."""
        for layer in self._layers:
            layer.close()

    # --- remembering

    def add_task(self, task: Task, meta_features: Array, *, family: str = "") -> None:
        """Records a task, never a row of it; one that is known gets its new name and meta-features.

        Args:
            task: The task.
            meta_features: ``(M,)`` in the order of `gstar.metafeatures.NAMES`, all finite.
            family: Tasks of one family are about the same thing, so that what is learned from
                one must not be tested on another.
        """
        self._own.add_task(task, meta_features, family=family)

    def start_run(self, task: str, settings: Mapping[str, Any]) -> str:
        """Records that a fit of a known task begins.

        Returns:
            The identifier that its trials carry. Runs whose process is gone become
            ``"abandoned"`` by the way.
        """
        return self._own.start_run(task, settings)

    def finish_run(
        self, run: str, *, status: str, score: float | None, seconds: float, summary: Mapping[str, Any]
    ) -> None:
        """Records how a fit ended: ``"completed"``, ``"interrupted"`` or ``"failed"``."""
        self._own.finish_run(run, status=status, score=score, seconds=seconds, summary=summary)

    def append(self, trials: Sequence[Trial]) -> None:
        """Records trials of known tasks and runs, all of them or none; never their predictions.

        Raises:
            StorageError: If they cannot be kept (no space, task forgotten meanwhile).
            UsageError: If a value cannot be stored as it is, such as a NaN as a score, or if a
                run has a trial of the same number.
        """
        self._own.append(trials)

    def add_policy(
        self,
        name: str,
        version: str,
        weights: Mapping[str, Array],
        evidence: Mapping[str, Any],
        *,
        accepted: bool = False,
    ) -> None:
        """Records meta-parameters of a policy with the evidence for them; see `PolicyVersion`."""
        self._own.add_policy(name, version, weights, evidence, accepted=accepted)

    def accept_policy(self, name: str, version: str) -> None:
        """Makes a version of a policy the one in use: a new one, or an old one again."""
        self._own.accept_policy(name, version)

    # --- recalling

    def records(self, kind: TaskKind, metric: str | None = None) -> Records:
        """Returns own trials as a table of tasks and strategies; it is shared, so its arrays are read-only.

        Args:
            kind: Kind of task.
            metric: Name of the metric; None: the default of the kind.
        """
        metric = metric or DEFAULT_METRIC[kind]
        key = tuple(layer.change_key() for layer in self._layers)
        known = self._cache.get((kind, metric))
        if known is None or known[0] != key or None in key:
            parts = [_records_of(layer, kind, metric) for layer in self._layers]
            known = (key, parts[0] if len(parts) == 1 else join(parts[0], parts[1]))
            self._cache[kind, metric] = known
        return known[1]

    def knowledge(self, kind: TaskKind, metric: str | None = None) -> Records:
        """Returns what policies learn from: the shipped experience joined with own `records`.

        Shipped tasks without this metric count with the default metric of their kind, because
        policies compare strategies within a task.
        """
        metric = metric or DEFAULT_METRIC[kind]
        own = self.records(kind, metric)
        others = shipped.read_shipped(self.shipped, metric).get(kind) if self.shipped else None
        if others is None:
            return own
        known = self._joined.get((kind, metric))
        if known is None or known[0] is not own:
            known = (own, join(others, own))
            self._joined[kind, metric] = known
        return known[1]

    def history(self, task: str, metric: str) -> tuple[Trial, ...]:
        """Returns all trials on a task with a metric, oldest first, without predictions."""
        return tuple(trial for layer in self._layers for trial in layer.trials(task=task, metric=metric))

    def trials(self, *, run: str) -> tuple[Trial, ...]:
        """Returns the trials of a run in the order of their numbers, without predictions."""
        found = [trial for layer in self._layers for trial in layer.trials(run=run)]
        return tuple(sorted(found, key=lambda trial: trial.number))

    def runs(self, *, task: str | None = None, limit: int | None = None) -> tuple[Run, ...]:
        """Returns runs, newest first; of one task if it is named."""
        found = [run for layer in reversed(self._layers) for run in layer.runs(task=task, limit=limit)]
        return tuple(found[:limit])

    def run(self, run: str) -> Run:
        """Returns a run by its identifier or the beginning of it.

        Raises:
            UsageError: If none or several fit.
        """
        return self._find_run(run)[1]

    def policies(self, name: str) -> tuple[PolicyVersion, ...]:
        """Returns all versions of a policy, newest first."""
        return tuple(policy for layer in reversed(self._layers) for policy in layer.policies(name))

    def policy(self, name: str) -> PolicyVersion | None:
        """Returns the version of a policy that is in use, or None."""
        return next((policy for policy in self.policies(name) if policy.accepted), None)

    # --- care

    def remove_run(self, run: str) -> dict[str, int]:
        """Removes a run with its trials and the weights that were kept of it; returns what was removed.

        Args:
            run: Its identifier or the beginning of it.
        """
        layer, found = self._find_run(run)
        return {"weights": self._forget_weights(run=found.id), **removal.remove_run(layer, found.id)}

    def forget(self, task: str) -> dict[str, int]:
        """Removes a task and all that came from it: runs, trials, weights, strategies tried on nothing else.

        What is forgotten is overwritten in the file. Backups and merged copies are not touched.

        Args:
            task: Fingerprint, a unique beginning of it, or name.

        Returns:
            How many tasks, runs, trials, strategies and files of weights were removed, and policies whose
            evidence named the task.

        Raises:
            UsageError: If no task or several fit.
        """
        found = [(layer, name) for layer in self._layers if (name := removal.find_task(layer, task)) is not None]
        if not found:
            raise UsageError(f"No task {task!r} is known. `gstar runs list` shows those that are.")
        weights = sum(self._forget_weights(task=name) for name in {name for _, name in found})
        parts = [removal.forget(layer, name) for layer, name in found]
        return {key: sum(part[key] for part in parts) for key in parts[0]} | {"weights": weights}

    def _forget_weights(self, **of: str) -> int:
        return self.weights.forget(**of) if self.weights is not None and self.weights.writable else 0

    def merge(self, other: str | Path) -> dict[str, int]:
        """Takes in all of another experience; doing so twice changes nothing.

        Args:
            other: Its file, of this or an earlier schema.

        Returns:
            How many tasks, strategies, runs and trials were added, and how many values were
            known already or refused because they make no sense.
        """
        path = Path(other)
        if not path.exists():
            raise StorageError(f"Expected another experience to merge, but {path} is not there.")
        if self._own.path is not None and path.samefile(self._own.path):
            raise UsageError(f"Expected another experience to merge, but {path} is this one.")
        store = open_file(path, read_only=True)
        try:
            return transfer.incoming(self._own, transfer.outgoing(store))
        finally:
            store.close()

    def export(self, path: str | Path) -> None:
        """Writes all tasks, strategies, runs and trials as lines of JSON, one value each."""
        transfer.write_lines(Path(path), (value for layer in self._layers for value in transfer.outgoing(layer)))

    def absorb(self, path: str | Path) -> dict[str, int]:
        """Takes in what `export` wrote; returns the same counts as `merge`."""
        return transfer.incoming(self._own, transfer.read_lines(Path(path)))

    def backup(self, path: str | Path) -> None:
        """Copies the file, also while it is in use; never over another file."""
        source = self._layers[0].path
        if source is None:
            raise StorageError(f"The experience at {self._layers[0].place} is not a file that could be copied.")
        with file.as_storage_errors(str(path)):
            file.copy(source, Path(path))

    def check(self) -> list[str]:
        """Returns what is wrong, one sentence each; empty if all is well."""
        found = [problem for layer in self._layers for problem in health.check(layer)]
        return found + (self.weights.check() if self.weights is not None else [])

    def status(self) -> ExperienceStatus:
        """Returns counts and the state of the file."""
        found = health.status(self._layers[0], mode=self.mode, warning=self.warning)
        if self.weights is not None:
            room = round(self.weights.quota_mb * 2**20)
            found = replace(found, weights=len(list(self.weights)), weights_bytes=self.weights.size, weights_room=room)
        if len(self._layers) == 1:
            return found
        own = health.status(self._own, mode=self.mode, warning=self.warning)
        return replace(found, trials_in_memory=own.trials)

    def _find_run(self, run: str) -> tuple[Store, Run]:
        found = [(layer, one) for layer in self._layers for one in layer.runs(prefix=run)] if run else []
        if len(found) != 1:
            some = ", ".join(one.id for _, one in found[:5])
            raise UsageError(
                f"{run!r} fits {len(found)} runs: {some}. Give more of its identifier."
                if found
                else f"No run {run!r}. `gstar runs list` shows those that are known."
            )
        return found[0]


def _weights_beside(store: Store, room_mb: float) -> Weights | None:
    if store.path is None:
        return None
    folder = store.path.with_name(store.path.name + WEIGHTS_SUFFIX)
    return Weights(folder, quota_mb=room_mb, writable=store.writable, beside=store.path)


def _shipped_file(counts: bool | None) -> Path | None:
    """Returns what ships with the package, another file that GSTAR_SHIPPED names, or nothing."""
    said = os.environ.get("GSTAR_SHIPPED", "on")
    if counts is None:
        counts = said != "off"
    place = shipped.HOME if said in {"on", "off", ""} else Path(said)
    return place if counts and place.exists() else None


def _place(url: str | Path | None) -> str:
    if url is None:
        from gstar.places import experience_url

        url = experience_url()
    return str(url)


def _open_layers(place: str, mode: str) -> tuple[list[Store], str]:
    """Returns the layers at a place, and why they do not keep what is new although they should."""
    if place.startswith(("postgresql:", "postgresql+")):
        url = sa.make_url(place).set(drivername="postgresql+psycopg")
        store = open_server(url, read_only=mode == "frozen")
        return ([store] if mode == "on" else [store, open_memory()]), ""
    if mode == "frozen":
        with file.as_storage_errors(place):
            path = _path(place)
            return ([open_file(path, read_only=True)] if path.exists() else []) + [open_memory()], ""
    try:
        path = _path(place)
        if not path.exists():
            file.create(path)
        writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    except StorageError:
        raise
    except (OSError, RuntimeError, sa.exc.DBAPIError) as error:
        return [open_memory()], _not_kept(place, getattr(error, "orig", None) or error)
    if writable:
        return [open_file(path)], ""
    return [open_file(path, read_only=True), open_memory()], _not_kept(place, "it may not be written")


def _path(place: str) -> Path:
    if "://" not in place:
        return Path(place).expanduser()
    scheme, _, rest = place.partition("://")
    if scheme != "sqlite" or not rest.startswith("/") or len(rest) < 2:
        raise UsageError(f"Expected a path, sqlite:///PATH or postgresql://..., got {scheme}://... for the experience.")
    return Path(sa.make_url(place).database or rest[1:]).expanduser()


def _not_kept(place: str, cause: object) -> str:
    return (
        f"New trials are not kept: the experience at {place} cannot be written ({cause}). Set GSTAR_EXPERIENCE to "
        "another place, or use --experience off."
    )


def _records_of(store: Store, kind: TaskKind, metric: str) -> Records:
    found = store.records(kind, metric)
    if found is None:
        from gstar.metafeatures import NAMES

        return Records.empty(kind, len(NAMES))
    return found
