"""Weights of networks that are remembered, so that a similar task can begin with them.

They lie in a folder beside the experience, one file for each network, named by the SHA-256 of its
content; there is no other index. A file is safetensors: the tensors of the network but for its last layer and the
scaling of its inputs, and in the metadata, as JSON, where they come from. So a file is whole or it is not used, a
killed process leaves nothing that counts, and forgetting a task is removing its files.

    folder/0f3c...e1.safetensors      written under another name, then renamed
    modification time                 when it was used last; the oldest go first when room is short

What a file tells of its task: its name and fingerprint, sizes, what its rows look like (`gstar.look`), and short
hashes of rows, by which a task that shares rows with it is recognised: its validation would be no validation.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import stat
import time
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol, TypeAlias

import numpy as np

from gstar.errors import StorageError, UntrustedFileError
from gstar.failpoints import failpoint
from gstar.inputs import Inputs, Sequences, to_arrays
from gstar.learner import AbstractLearner
from gstar.look import distance, look
from gstar.space import Configuration, Scalar
from gstar.strategy import Strategy
from gstar.task import Task
from gstar.tensorfile import DAMAGED

Array: TypeAlias = np.ndarray

WEIGHTS: Final = "weights.safetensors"
"""The part of a saved network that holds its tensors."""
FORMS: Final = frozenset({"images", "sequences"})
"""Only networks on these are kept: the columns of two tables have nothing in common."""
HASHES: Final = 4096
"""The smallest so many hashes of rows are kept."""
SHARED: Final = 0.02
"""Tasks of which a larger share of the rows is the same are not taken for two tasks."""
NEAREST: Final = 32
"""So many of the most similar tasks are candidates."""
MAX_HEADER_BYTES: Final = 1_000_000
STALE_S: Final = 3600.0
"""After this time a file that was never finished is swept."""
_KEY: Final = "gstar"
_NAME: Final = re.compile("[0-9a-f]{64}")


class WeightsWarning(UserWarning):
    """Says that networks begin from scratch that should have begun with remembered weights."""


@dataclass(frozen=True, eq=False)
class Source:
    """Is a file of remembered weights, as its header describes it.

    Args:
        hash: SHA-256 of its content, in hexadecimal digits; its name.
        path: Where it lies.
        size: Its bytes.
        task: Fingerprint of the task that it was trained on.
        name: What a person calls that task.
        run: Identifier of the run that it comes from.
        form: ``"images"`` or ``"sequences"``.
        channels: Values per place or step.
        rows: How many it was trained on.
        strategy: How it was trained.
        look: What its rows look like.
        origins: Fingerprints of the tasks whose weights it began with, and of those whose weights these began with.
    """

    hash: str
    path: Path
    size: int
    task: str
    name: str
    run: str
    form: str
    channels: int
    rows: int
    strategy: Strategy
    look: Array
    origins: tuple[str, ...] = ()

    @property
    def tasks(self) -> frozenset[str]:
        """Fingerprints of all tasks that left something in it."""
        return frozenset((self.task, *self.origins))


@dataclass(frozen=True, eq=False)
class Sources:
    """Is the weights that a task may begin with, the most similar task first.

    Args:
        found: Pairs of a distance and a source.
        learners: The learners that may be used.
    """

    found: tuple[tuple[float, Source], ...] = ()
    learners: Mapping[str, AbstractLearner] | None = None

    def nearest(self) -> Sources:
        """Returns the source of the most similar task alone for each learner."""
        first: dict[str, tuple[float, Source]] = {}
        for apart, source in self.found:
            first.setdefault(source.strategy.learner, (apart, source))
        return Sources(tuple(first.values()), self.learners)

    def strategies(self) -> tuple[Strategy, ...]:
        """Returns how the most similar task of each learner was learned, now from its weights, trained or frozen."""
        return tuple(
            replace(source.strategy, init={"kind": "remembered", "body": body})
            for _, source in self.nearest().found
            for body in ("fine_tuned", "frozen")
        )

    def beginning(self, strategy: Strategy) -> Strategy:
        """Returns a strategy that was drawn as it can be carried out here; see `beginning`."""
        learner = (self.learners or {}).get(strategy.learner)
        return replace(strategy, init={}) if learner is None else beginning(strategy, self.strategies(), learner)

    def of(self, strategy: Strategy) -> tuple[float, Source] | None:
        """Returns the source for a strategy with its distance; None if it begins from scratch or none fits."""
        if not strategy.init or not self.learners or strategy.learner not in self.learners:
            return None
        learner = self.learners[strategy.learner]
        for apart, source in self.found:
            own = source.strategy
            if own.learner == strategy.learner and learner.has_same_body(own.configuration, strategy.configuration):
                return apart, source
        return None

    def without(self, hash: str) -> Sources:
        """Returns all sources but one."""
        return Sources(tuple(pair for pair in self.found if pair[1].hash != hash), self.learners)


@dataclass(frozen=True, eq=False)
class Relatives:
    """Is the tasks whose weights a task must not begin with: what it learns from them, it would learn from itself.

    Args:
        fingerprints: Of these tasks; nothing that began with their weights either.
        names: What a person calls them, or the family that they are of.
        rows: Hashes of the rows of each; see `hashes_of`.
    """

    fingerprints: frozenset[str]
    names: frozenset[str] = frozenset()
    rows: tuple[Array, ...] = ()
    _known: dict[str, bool] = field(default_factory=dict, init=False)

    @staticmethod
    def of(tasks: Sequence[Task], *, names: Collection[str] = (), fingerprints: Collection[str] = ()) -> Relatives:
        """Returns these tasks, with all that has one of these names or fingerprints."""
        own = (task.fingerprint for task in tasks)
        return Relatives(
            frozenset((*own, *fingerprints)), frozenset(names), tuple(hashes_of(task.inputs) for task in tasks)
        )

    def has(self, source: Source) -> bool:
        """Tells whether a source is of one of them, or shares rows with one."""
        if source.hash not in self._known:
            named = source.name in self.names or bool(self.fingerprints & source.tasks)
            self._known[source.hash] = named or any(_shares_rows(source, hashes) for hashes in self.rows)
        return self._known[source.hash]


class Weights:
    """Keeps weights in a folder, up to a quota.

    Args:
        folder: The folder; it is made when there is something to keep.
        quota_mb: MiB for all files together; 0: nothing is kept or used, but it can be forgotten and checked.
        writable: Whether it may be changed.
        beside: The file of experience that it belongs to: who may not read that may not read the folder either.
    """

    def __init__(
        self, folder: Path, *, quota_mb: float = 0.0, writable: bool = True, beside: Path | None = None
    ) -> None:
        self.folder = folder
        self.beside = beside
        self.quota_mb = quota_mb
        self.writable = writable

    def __iter__(self) -> Iterator[Source]:
        """Yields what its headers describe; what makes no sense is left out."""
        for path in self._files():
            try:
                yield describe(path)
            except (UntrustedFileError, OSError):
                continue

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(_size(path) for path in self._files())

    def sources(
        self, task: Task, learners: Mapping[str, AbstractLearner], *, relatives: Relatives | None = None
    ) -> Sources:
        """Returns what a task may begin with: weights of other tasks of its form, with as many channels.

        Args:
            task: The task.
            learners: The learners that may be used.
            relatives: Tasks that are not found, nor what shares rows with one of them; None: the task itself.
        """
        if not self.quota_mb or task.form not in FORMS:
            return Sources()
        relatives = relatives or Relatives.of([task])
        here = look(task.inputs)
        fitting = [
            (distance(here, source.look), source)
            for source in self
            if source.form == task.form
            and source.channels == channels_of(task.inputs)
            and source.strategy.learner in learners
        ]
        fitting.sort(key=lambda pair: (pair[0], pair[1].hash))
        apart = (pair for pair in fitting if not relatives.has(pair[1]))
        return Sources(tuple(itertools.islice(apart, NEAREST)), learners)

    def keep(
        self, task: Task, strategy: Strategy, parts: Mapping[str, bytes], *, run: str, origin: Path | None = None
    ) -> Source | None:
        """Keeps the weights of a network that was trained on a task.

        What was kept of the same task and learner before is replaced.

        Args:
            task: The task.
            strategy: How it was trained.
            parts: What `AbstractLearner.save` returned.
            run: Identifier of the run that it comes from.
            origin: The file of the weights that it began with; if that is gone, nothing is kept, as what was
                forgotten would live on in it.

        Returns:
            What is kept now; None if nothing is, as it is switched off, may not be written, or has no room.

        Raises:
            StorageError: If it cannot be written.
        """
        if not self.quota_mb or not self.writable or task.form not in FORMS or WEIGHTS not in parts:
            return None
        try:
            origins = () if origin is None else tuple(sorted(describe(origin).tasks))
        except (UntrustedFileError, OSError):
            return None
        try:
            content = _content(task, strategy, parts[WEIGHTS], run, origins)
        except UntrustedFileError as error:
            raise StorageError(f"Weights of {strategy.learner} cannot be kept: {error}") from error
        if len(content) > self.quota_mb * 2**20:
            return None
        path = self.folder / f"{hashlib.sha256(content).hexdigest()}.safetensors"
        try:
            self.folder.mkdir(_folder_mode(self.beside), parents=True, exist_ok=True)
            _write(path, content)
            same = [s for s in self if (s.task, s.strategy.learner) == (task.fingerprint, strategy.learner)]
            for source in same:
                if source.path != path:
                    _erase(source.path)
            self._make_room(path)
            return describe(path)
        except OSError as error:
            raise StorageError(f"Weights cannot be kept in {self.folder}: {error}.") from error

    def used(self, source: Source) -> None:
        """Notes that a source was used now, so that it is not among the first to go."""
        if self.writable:
            try:
                os.utime(source.path)
            except OSError:
                return

    def forget(self, *, task: str | None = None, run: str | None = None) -> int:
        """Overwrites and removes the files that a task left something in, or of a run; returns how many those were."""
        chosen = [source for source in self if task in source.tasks or source.run == run]
        for source in chosen:
            _erase(source.path)
        return len(chosen)

    def check(self) -> list[str]:
        """Returns what is wrong with the files, one sentence each."""
        found = []
        for path in self._files():
            try:
                describe(path)
                read(path)
            except (UntrustedFileError, OSError) as error:
                found.append(f"{error} It is not used; remove it.")
        return found

    def _files(self) -> list[Path]:
        """Returns the files that were kept here; no link, which may lead out of the folder, and no file of others."""
        try:
            return sorted(
                path
                for path in self.folder.glob("*.safetensors")
                if _NAME.fullmatch(path.stem) and path.is_file() and not path.is_symlink()
            )
        except OSError:
            return []

    def _make_room(self, but: Path) -> None:
        """Removes what was used longest ago until the quota holds, and what was never finished."""
        for draft in self.folder.glob(".*.part"):
            if time.time() - _used(draft) > STALE_S:
                draft.unlink(missing_ok=True)
        left = sorted((path for path in self._files() if path != but), key=lambda path: (_used(path), path.name))
        total = self.size
        for path in left:
            if total <= self.quota_mb * 2**20:
                return
            total -= _size(path)
            _erase(path)


class HasBody(Protocol):
    """Is what `beginning` needs of a learner; every `AbstractLearner` fits."""

    def with_body(self, configuration: Mapping[str, Scalar], other: Mapping[str, Scalar]) -> Configuration:
        """Returns a configuration that has the same body as another, and is trained as before."""


def beginning(strategy: Strategy, initial: Sequence[Strategy], learner: HasBody) -> Strategy:
    """Returns a strategy that was drawn as it can be carried out.

    What begins with remembered weights has the body that these are of; where there are none, it begins from scratch.

    Args:
        strategy: What was drawn.
        initial: What `Sources.strategies` returned.
        learner: Its learner.
    """
    if not strategy.init:
        return strategy
    nearest = next((known for known in initial if known.learner == strategy.learner), None)
    if nearest is None:
        return replace(strategy, init={})
    return replace(strategy, configuration=learner.with_body(strategy.configuration, nearest.configuration))


def describe(path: Path) -> Source:
    """Reads the header of a file.

    Raises:
        UntrustedFileError: If it is not one that `Weights.keep` wrote.
        OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = file.read(size) if size <= MAX_HEADER_BYTES else b""
        n_bytes = os.fstat(file.fileno()).st_size
    try:
        about = json.loads(json.loads(header)["__metadata__"][_KEY])
        seen = np.array(about["look"], float)
        if not np.isfinite(seen).all() or seen.ndim != 1:
            raise ValueError("its look is not finite")
        return Source(
            path.stem,
            path,
            n_bytes,
            str(about["task"]),
            str(about["name"]),
            str(about["run"]),
            str(about["form"]),
            int(about["channels"]),
            int(about["rows"]),
            Strategy.from_json(about["strategy"]),
            seen,
            tuple(map(str, about["origins"])),
        )
    except DAMAGED as error:
        raise UntrustedFileError(f"{path} is no file of remembered weights ({error!r:.120}).") from error


def read(path: Path) -> dict[str, bytes]:
    """Reads a file as the parts of a saved network, for `TrainingSpec.initial`.

    Raises:
        UntrustedFileError: If its content is not what its name says, or its numbers are not finite.
        OSError: If it cannot be read.
    """
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != path.stem:
        raise UntrustedFileError(f"{path} is damaged: its content is not what its name says.")
    tensors = _tensors(content, path)
    if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
        raise UntrustedFileError(f"{path} holds numbers that are not finite.")
    return {WEIGHTS: content}


def hashes_of(inputs: Inputs) -> Array:
    """Returns the `HASHES` smallest ``int64`` hashes of different rows, sorted, none negative."""
    arrays = to_arrays(inputs)
    if isinstance(inputs, Sequences):
        rows: Iterator[bytes] = (
            np.ascontiguousarray(x[:n]).tobytes() for x, n in zip(inputs.steps, inputs.lengths, strict=True)
        )
    else:
        rows = (np.ascontiguousarray(row).tobytes() for row in next(iter(arrays.values())))
    found = {int.from_bytes(hashlib.blake2b(row, digest_size=8).digest(), "little") >> 1 for row in rows}
    return np.array(sorted(found)[:HASHES], np.int64)


def channels_of(inputs: Inputs) -> int:
    """Returns the values per place of images, or per step of sequences."""
    array = next(iter(to_arrays(inputs).values()))
    return int(array.shape[2 if isinstance(inputs, Sequences) else 1])


def _shares_rows(source: Source, hashes: Array) -> bool:
    """Tells whether rows of a task were among those that a source was trained on; if it cannot be read, yes."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(source.path, "np") as file:
            theirs = np.asarray(file.get_tensor("hashes"))
    except (OSError, SafetensorError):
        return True
    if len(theirs) >= HASHES:
        hashes = hashes[hashes <= theirs.max()]
    return bool(len(hashes) and np.isin(hashes, theirs).mean() > SHARED)


def _content(task: Task, strategy: Strategy, weights: bytes, run: str, origins: tuple[str, ...]) -> bytes:
    from safetensors.numpy import save

    kept = {name: t for name, t in _tensors(weights, Path(WEIGHTS)).items() if _is_body(name)}
    about = {
        "task": task.fingerprint,
        "name": task.name,
        "run": run,
        "form": task.form,
        "channels": channels_of(task.inputs),
        "rows": len(task),
        "strategy": strategy.to_json(),
        "look": look(task.inputs).round(6).tolist(),
        "origins": origins,
    }
    return bytes(save({**kept, "hashes": hashes_of(task.inputs)}, {_KEY: json.dumps(about)}))


def _is_body(name: str) -> bool:
    return not name.startswith("head.") and "scaling" not in name.split(".")


def _tensors(content: bytes, path: Path) -> dict[str, Array]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return dict(load(content))
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise UntrustedFileError(f"{path} is no whole safetensors file ({error!r:.120}).") from error


def _folder_mode(file: Path | None) -> int:
    """Returns the permissions of a folder that whoever may read or write a file may list or change; all without one."""
    if file is None or not file.exists():
        return 0o777
    mode = stat.S_IMODE(file.stat().st_mode)
    return mode | (mode & 0o444) >> 2


def _write(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all."""
    draft = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        failpoint("weights.keep.before_rename")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _erase(path: Path) -> None:
    """Overwrites a file and removes it; another process may have done so already."""
    try:
        with path.open("r+b") as file:
            file.write(bytes(_size(path)))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
    except FileNotFoundError:
        return


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
