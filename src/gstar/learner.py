"""The inner plug-in: how one family of models is trained, step by step.

One driver (`gstar.inner`) owns the clock, early stopping, the best state so far and the
isolation. A learner only knows its own mathematics:

    state = learner.init(inputs, target, spec)      # encode, allocate
    while not state.done:
        state = learner.step(state, 10, deadline)   # train 10 more steps
        prediction = learner.predict(state, validation_inputs)

A learner that cannot pause is done after one step, and is handed its deadline.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import ClassVar, Final, Protocol, TypeAlias

import numpy as np

from gstar.errors import MissingExtraError, UnknownLearnerError, did_you_mean
from gstar.inputs import Inputs
from gstar.metric import TaskKind
from gstar.space import Configuration, Scalar, Space

Array: TypeAlias = np.ndarray


CHECK_SHARE: Final = 0.1


@dataclass(frozen=True, eq=False)
class Pace:
    """Is in which order the rows are shown to a learner that trains by mini-batches.

    Args:
        kind: As `pace` in `gstar.strategy.PACE_SPACE`.
        drop_share: For ``"small_loss"``: the share of rows that is left out.
        difficulty: ``(S,)`` loss of each row under another model, for ``"easy_first"`` and
            ``"hard_first"``; None: the learner measures its own.
    """

    kind: str = "shuffled"
    drop_share: float = 0.0
    difficulty: Array | None = None


@dataclass(frozen=True, eq=False)
class TrainingSpec:
    """Is everything besides the rows that a learner is told.

    Args:
        kind: Kind of task.
        n_classes: C, 0 for regression. A class may be absent from the rows at hand.
        configuration: A point of the learner's space.
        schedule: A point of `SCHEDULE_SPACE`, or empty.
        seed: Seed of everything random.
        threads: How many threads the learner may use.
        weights: ``(S,)`` row weights, or None.
        validation: Rows and targets held out, for a learner that stops early on its own; a
            learner must not train on them.
        pace: In which order rows are shown; for learners with `handles_pace`.
        initial: Saved parts of another model of the same learner to start from, or None: tensors
            that agree in name and shape are copied. For networks.
        frozen: Whether only what was not copied is trained.
    """

    kind: TaskKind
    n_classes: int
    configuration: Mapping[str, Scalar]
    schedule: Mapping[str, Scalar] = field(default_factory=dict)
    seed: int = 0
    threads: int = 1
    weights: Array | None = None
    validation: tuple[Inputs, Array] | None = None
    pace: Pace = field(default_factory=Pace)
    initial: Mapping[str, bytes] | None = None
    frozen: bool = False


class State(Protocol):
    """Is what a learner has got so far."""

    @property
    def steps(self) -> int:
        """How many steps it has trained."""

    @property
    def done(self) -> bool:
        """Whether more steps would change nothing."""


class AbstractLearner(ABC):
    """Trains one family of models. Stateless: all that changes is in the state.

    A new learner is one file with a final subclass, one entry point in the group
    ``gstar.learners`` and one line in the list of `gstar.testing.LearnerContract`.
    """

    name: ClassVar[str]
    space: ClassVar[Space]
    forms: ClassVar[frozenset[str]] = frozenset({"table"})
    kinds: ClassVar[frozenset[TaskKind]] = frozenset(TaskKind)
    has_schedule: ClassVar[bool] = False
    handles_weights: ClassVar[bool] = True
    requires: ClassVar[tuple[str, ...]] = ()
    """Modules of an optional library; import them inside methods, never at the top."""
    extra: ClassVar[str] = "boost"
    """The extra that installs them."""
    steps_per_check: ClassVar[int] = 1
    """How many steps to train between two looks at the validation rows, at the start."""
    patience: ClassVar[int | None] = 50
    """After how many steps without gain training is stopped; None: never, its schedule must run out."""
    handles_pace: ClassVar[bool] = False
    """Whether it trains by mini-batches, so that the order of the rows is part of a strategy."""
    is_anytime: ClassVar[bool] = False
    """Whether a training that its deadline cuts short leaves a model that is nearly as good."""
    handles_initial: ClassVar[bool] = False
    """Whether it can begin with the weights of another model, so that they are part of a strategy."""
    handles_control: ClassVar[bool] = False
    """Whether `adjust` does anything, and its states tell `support_loss` and `progress`."""
    default_schedule: ClassVar[Mapping[str, Scalar]] = {}
    """Where its default schedule differs from that of `SCHEDULE_SPACE`."""
    preload: ClassVar[tuple[str, ...]] = ()
    """Modules that are slow to import: processes that fork workers import them once for all."""

    @abstractmethod
    def init(self, inputs: Inputs, target: Array, spec: TrainingSpec) -> State:
        """Prepares training: fits encoders on these rows, allocates the model.

        Args:
            inputs: S rows.
            target: ``(S,)`` class codes or values.
            spec: What else there is to know.
        """

    @abstractmethod
    def step(self, state: State, steps: int, deadline: float | None) -> State:
        """Trains up to `steps` more steps.

        Args:
            state: Where training stands; it may be changed and returned.
            steps: How many, at least 1.
            deadline: Time by `time.monotonic` after which to return early, or None.
        """

    @abstractmethod
    def snapshot(self, state: State) -> State:
        """Returns a state that further steps on the given one do not change."""

    @abstractmethod
    def predict(self, state: State, inputs: Inputs) -> Array:
        """Returns ``(N, C)`` probabilities, rows summing to 1, or ``(N,)`` values."""

    @abstractmethod
    def save(self, state: State) -> dict[str, bytes]:
        """Returns the state as named parts, none of which is a pickle."""

    @abstractmethod
    def load(self, parts: Mapping[str, bytes]) -> State:
        """Builds a state that predicts as the saved one did.

        Raises:
            UntrustedFileError: If a part holds anything but what `save` writes.
        """

    def steps_to_check(self, state: State) -> int:
        """Returns how many steps to train before the next look at the validation rows."""
        return max(self.steps_per_check, int(CHECK_SHARE * state.steps))

    def adjust(
        self, state: State, *, rate_factor: float = 1.0, drop_share: float = 0.0, balance: bool = False
    ) -> State:
        """Changes how the rest of the training goes on; decisions add up.

        Args:
            state: Where training stands; it may be changed and returned.
            rate_factor: Multiplies the learning rate from now on.
            drop_share: Share of the rows, those of highest loss, that is left out from now on.
            balance: Whether classes are weighted evenly from now on.
        """
        return state

    def has_same_body(self, a: Mapping[str, Scalar], b: Mapping[str, Scalar]) -> bool:
        """Tells whether models of two configurations have weights of the same names and shapes, but for the last."""
        return False

    def with_body(self, configuration: Mapping[str, Scalar], other: Mapping[str, Scalar]) -> Configuration:
        """Returns a configuration that has the same body as another, and is trained as before."""
        return dict(configuration)

    @abstractmethod
    def work(self, rows: int, features: int, classes: int, configuration: Mapping[str, Scalar]) -> float:
        """Returns a rough guess of the seconds one training takes on one core.

        It is corrected by what experience has measured; it need only be right to a factor
        of a few and grow as the learner does.
        """


_LOADED: dict[str, AbstractLearner] = {}
_LOCK = threading.Lock()


def learner_names() -> list[str]:
    """Returns the names of all learners that are installed, whether or not they import."""
    return sorted({e.name for e in entry_points(group="gstar.learners")})


def get_learner(name: str) -> AbstractLearner:
    """Returns a learner by name that can train.

    Its module is imported at its first use, the library behind it only when it trains.

    Raises:
        UnknownLearnerError: If nothing of that name is installed, or its module cannot be imported.
        MissingExtraError: If the library it needs is not installed.
    """
    learner = find_learner(name)
    for library in learner.requires:
        if find_spec(library) is None:
            raise MissingExtraError(
                f"Learner {name!r} needs {library}; install it with: pip install 'gstar[{learner.extra}]'"
            )
    return learner


def find_learner(name: str) -> AbstractLearner:
    """Returns a learner by name, also if the library that it needs to train is not installed.

    Raises:
        UnknownLearnerError: If nothing of that name is installed, or its module cannot be imported.
    """
    with _LOCK:
        if name not in _LOADED:
            found = [e for e in entry_points(group="gstar.learners") if e.name == name]
            if not found:
                known = learner_names()
                raise UnknownLearnerError(f"No learner {name!r}; known: {known}.{did_you_mean(name, known)}")
            _LOADED[name] = _load(found[0])
        return _LOADED[name]


def _load(entry: EntryPoint) -> AbstractLearner:
    try:
        learner: AbstractLearner = entry.load()()
    except Exception as error:  # the package of somebody else
        raise UnknownLearnerError(
            f"Learner {entry.name!r} is installed, but {entry.value} cannot be loaded ({error!r:.200}); "
            "mend or uninstall its package."
        ) from error
    return learner


def register_learner(learner: AbstractLearner) -> None:
    """Makes a learner known by its name in this process, without an entry point."""
    with _LOCK:
        _LOADED[learner.name] = learner


def available_learners(form: str, kind: TaskKind, *, also: Sequence[str] = ()) -> dict[str, AbstractLearner]:
    """Returns the learners that are installed here and fit this form of rows and kind of task.

    Args:
        form: ``"table"``, ``"images"`` or ``"sequences"``.
        kind: The kind of task.
        also: Names that must be known, entry point or registered.

    Raises:
        UnknownLearnerError: If one of `also` is not.
    """
    found = {}
    for name in dict.fromkeys([*learner_names(), *also]):
        try:
            learner = get_learner(name)
        except (MissingExtraError, UnknownLearnerError):
            if name in also:
                raise
            continue
        if form in learner.forms and kind in learner.kinds:
            found[name] = learner
    return found
