"""Learners that misbehave in every way a real one has been seen to, for tests of isolation.

Each is the smallest learner that breaks one promise; pass an instance to
``search(learners=[...])``. None of them is installed as an entry point.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, TypeAlias

import numpy as np

from gstar.inputs import Inputs
from gstar.learner import AbstractLearner, State, TrainingSpec
from gstar.space import Integer, Scalar, Space

Array: TypeAlias = np.ndarray

FOREVER_S: Final = 3600.0


@dataclass
class EvilState:
    """Is a state that predicts the same thing everywhere."""

    n_classes: int
    steps: int = 0
    done: bool = False


class AbstractEvilLearner(AbstractLearner):
    """Is a learner that would be harmless but for `misbehave`, which its only step calls."""

    answer: ClassVar[float] = 0.0
    space: ClassVar[Space] = Space({"variant": Integer(0, 1_000_000, default=0)})

    @abstractmethod
    def misbehave(self) -> None:
        """Does the evil deed."""

    def init(self, inputs: Inputs, target: Array, spec: TrainingSpec) -> EvilState:
        return EvilState(spec.n_classes)

    def step(self, state: State, steps: int, deadline: float | None) -> State:
        self.misbehave()
        assert isinstance(state, EvilState)
        return EvilState(state.n_classes, state.steps + steps, done=True)

    def snapshot(self, state: State) -> State:
        return state

    def predict(self, state: State, inputs: Inputs) -> Array:
        assert isinstance(state, EvilState)
        if state.n_classes:
            return np.full((len(inputs), state.n_classes), 1.0 / state.n_classes) + self.answer
        return np.full(len(inputs), self.answer)

    def save(self, state: State) -> dict[str, bytes]:
        assert isinstance(state, EvilState)
        return {"classes.txt": str(state.n_classes).encode()}

    def load(self, parts: Mapping[str, bytes]) -> EvilState:
        return EvilState(int(parts["classes.txt"]), 1, done=True)

    def work(self, rows: int, features: int, classes: int, configuration: Mapping[str, Scalar]) -> float:
        return 0.01


class Sleeper(AbstractEvilLearner):
    """Sleeps in C and ignores its deadline."""

    name = "sleeper"

    def misbehave(self) -> None:
        ctypes.CDLL(None).sleep(int(FOREVER_S))


class Spinner(AbstractEvilLearner):
    """Ignores signals it may ignore, and computes for ever."""

    name = "spinner"

    def misbehave(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        while True:
            np.ones(1000).sum()


class Hog(AbstractEvilLearner):
    """Allocates without end, and touches what it gets."""

    name = "hog"

    def misbehave(self) -> None:
        kept = []
        while True:
            kept.append(np.ones(4_000_000))


class NativeHog(AbstractEvilLearner):
    """Allocates with malloc, behind Python's back, and goes on when it is refused."""

    name = "native_hog"

    def misbehave(self) -> None:
        libc = ctypes.CDLL(None)
        libc.malloc.restype = ctypes.c_void_p
        size = 32 * 2**20
        while True:
            block = libc.malloc(ctypes.c_size_t(size))
            if block:
                ctypes.memset(block, 1, size)
            else:
                time.sleep(0.01)


class Segfaulter(AbstractEvilLearner):
    """Reads where nothing is."""

    name = "segfaulter"

    def misbehave(self) -> None:
        ctypes.string_at(0)


class Aborter(AbstractEvilLearner):
    """Aborts, as a failed native assertion does."""

    name = "aborter"

    def misbehave(self) -> None:
        os.abort()


class Exiter(AbstractEvilLearner):
    """Leaves without a word."""

    name = "exiter"

    def misbehave(self) -> None:
        os._exit(3)


class Quitter(AbstractEvilLearner):
    """Calls sys.exit."""

    name = "quitter"

    def misbehave(self) -> None:
        sys.exit(0)


class Raiser(AbstractEvilLearner):
    """Raises an error of its own."""

    name = "raiser"

    def misbehave(self) -> None:
        raise ValueError("this learner does not like these rows")


class Printer(AbstractEvilLearner):
    """Prints without end, then computes on."""

    name = "printer"

    def misbehave(self) -> None:
        line = "x" * 2**20
        while True:
            print(line)  # noqa: T201
            sys.stderr.write(line)


class Parent(AbstractEvilLearner):
    """Starts grandchildren that outlive it unless somebody looks after them."""

    name = "parent"

    def misbehave(self) -> None:
        for _ in range(3):
            subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({FOREVER_S})"], start_new_session=True)
        time.sleep(FOREVER_S)


class Diverger(AbstractEvilLearner):
    """Predicts NaN."""

    name = "diverger"
    answer = float("nan")

    def misbehave(self) -> None:
        """Leaves the evil to its answer."""


ALL: Final[tuple[type[AbstractEvilLearner], ...]] = (
    Sleeper,
    Spinner,
    Hog,
    NativeHog,
    Segfaulter,
    Aborter,
    Exiter,
    Quitter,
    Raiser,
    Printer,
    Parent,
    Diverger,
)
