"""The common part of the networks: rows to tensors, training, saving. Torch is imported inside methods only."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, TypeAlias

import numpy as np

from gstar.encoding import TableEncoder
from gstar.errors import UntrustedFileError, UsageError
from gstar.inputs import Inputs
from gstar.learner import AbstractLearner, State, TrainingSpec
from gstar.learners.shapes import TargetScale, compact, full_probabilities
from gstar.space import Categorical, Condition, Configuration, Integer, Parameter, Real, Scalar, Space

Array: TypeAlias = np.ndarray

N_CHECKS: Final = 60
"""About how often the validation rows are looked at, if there are at least so many epochs."""
FEWEST_BATCHES: Final = 8
"""Batches per epoch; where rows are few, batches are smaller than the configuration says."""
LEAST_BATCH: Final = 8


TRAINING: Final = frozenset(
    {"dropout", "augment", "optimiser", "learning_rate", "sgd_rate", "weight_decay", "batch_size", "epochs", "target"}
)
"""Parts of a configuration that change how a network is trained, and not what it is built of."""


def network_space(parameters: Mapping[str, Parameter], *, rate: float, batch_size: int, epochs: int) -> Space:
    """Returns the space of a network: its own parameters, and how it is optimised.

    Args:
        parameters: Of the architecture.
        rate: Default peak of the learning rate.
        batch_size: Default.
        epochs: Default length of the training, in passes over the rows.
    """
    return Space(
        {
            **parameters,
            "norm": Categorical(("batch", "layer", "none")),
            "dropout": Real(0.0, 0.5, default=0.1),
            "optimiser": Categorical(("adamw", "sgd")),
            "learning_rate": Real(1e-4, 3e-2, log=True, default=rate),
            "sgd_rate": Real(1e-3, 1.0, log=True, default=30 * rate),
            "weight_decay": Real(1e-6, 1.0, log=True, default=0.03),
            "batch_size": Categorical((16, 32, 64, 128, 256), default=batch_size),
            "epochs": Integer(5, 200, log=True, default=epochs),
        },
        {"learning_rate": Condition("optimiser", ("adamw",)), "sgd_rate": Condition("optimiser", ("sgd",))},
    )


@dataclass(frozen=True, eq=False)
class NetworkState:
    """Is a network after some mini-batches; `steps` are mini-batches.

    Args:
        structure: What the network is built from.
        encoder: How tables become numbers; None for images and sequences.
        classes: ``(K,)`` codes of the classes among the rows; empty for regression.
        n_classes: C.
        scale: The scale of a regression target.
        network: The module.
        training: All that it takes to go on; None once loaded.
        known: The validation rows as tensors, encoded once: the rows, and the tensors.
    """

    structure: Mapping[str, Any]
    encoder: TableEncoder | None
    classes: Array
    n_classes: int
    scale: TargetScale
    network: Any
    training: Any = None
    known: tuple[Any, Any] = (None, None)

    @property
    def steps(self) -> int:
        """How many mini-batches it has trained."""
        return int(self.training.steps) if self.training else 0

    @property
    def done(self) -> bool:
        """Whether its schedule has run out."""
        return bool(self.training.done) if self.training else True

    @property
    def support_loss(self) -> float:
        """Running mean of the loss of recent mini-batches, NaN before the first."""
        return float(self.training.support_loss) if self.training else float("nan")

    @property
    def progress(self) -> float:
        """How far the training has come, in [0, 1]."""
        return float(self.training.progress) if self.training else 1.0


class AbstractNetwork(AbstractLearner):
    """Trains a network by mini-batches; a step is one of them, and the schedule always runs out.

    Batches are smaller than `batch_size` where an epoch would have fewer than 8 of them.
    """

    has_schedule: ClassVar[bool] = True
    handles_pace: ClassVar[bool] = True
    handles_initial: ClassVar[bool] = True
    handles_control: ClassVar[bool] = True
    requires: ClassVar[tuple[str, ...]] = ("torch",)
    extra: ClassVar[str] = "deep"
    patience: ClassVar[int | None] = None
    default_schedule: ClassVar[Mapping[str, Scalar]] = {"kind": "one_cycle"}
    preload: ClassVar[tuple[str, ...]] = ("gstar.networks.saving", "gstar.networks.training")

    @abstractmethod
    def structure(self, arrays: tuple[Array, ...], inputs: Inputs) -> dict[str, Any]:
        """Returns the name of the network and its sizes."""

    @abstractmethod
    def arrays(self, encoder: TableEncoder | None, inputs: Inputs) -> tuple[Array, ...]:
        """Returns what the network takes, N rows each."""

    def encoder(self, inputs: Inputs, target: Array, spec: TrainingSpec) -> TableEncoder | None:
        """Returns what has to be fitted to the rows before they are arrays."""
        return None

    def init(self, inputs: Inputs, target: Array, spec: TrainingSpec) -> NetworkState:
        from gstar.networks.training import Rows, Training

        encoder = self.encoder(inputs, target, spec)
        arrays = self.arrays(encoder, inputs)
        classes, scale = np.empty(0, int), TargetScale(0.0, 1.0, None, -np.inf, np.inf)
        if spec.kind.is_classification:
            classes, target = compact(target)
        else:
            scale = TargetScale.fit(target, spec.configuration.get("target", "standard"), spec.weights)
            target = scale.forward(target)
        structure = {
            **self.structure(arrays, inputs),
            "outputs": max(1, len(classes)),
            "configuration": dict(spec.configuration),
        }
        rows = Rows.of(_tensors(arrays), target, spec.weights)
        training = Training.start(
            lambda: _make(structure, rows.tensors, spec), rows, _plan(spec, len(target)), seed=spec.seed
        )
        valid = None if spec.validation is None else spec.validation[0]
        known = (None, None) if valid is None else (valid, _tensors(self.arrays(encoder, valid)))
        return NetworkState(structure, encoder, classes, spec.n_classes, scale, training.network, training, known)

    def step(self, state: State, steps: int, deadline: float | None) -> NetworkState:
        assert isinstance(state, NetworkState)
        state.training.advance(steps, deadline)
        return state

    def snapshot(self, state: State) -> NetworkState:
        """Returns a state with weights, optimiser and generator of its own: any number may branch from it."""
        assert isinstance(state, NetworkState)
        if state.training is None:
            return state
        training = state.training.copy()
        return replace(state, network=training.network, training=training)

    def predict(self, state: State, inputs: Inputs) -> Array:
        from gstar.networks.training import outputs

        assert isinstance(state, NetworkState)
        rows, tensors = state.known
        tensors = tensors if inputs is rows else _tensors(self.arrays(state.encoder, inputs))
        if state.training is None:
            out = outputs(state.network, tensors)
        else:
            with state.training.evaluated() as network:
                out = outputs(network, tensors)
        if not state.n_classes:
            return state.scale.backward(out[:, 0].double().numpy())
        return full_probabilities(out.double().softmax(1).numpy(), state.classes, state.n_classes)

    def adjust(
        self, state: State, *, rate_factor: float = 1.0, drop_share: float = 0.0, balance: bool = False
    ) -> NetworkState:
        assert isinstance(state, NetworkState)
        if not (rate_factor > 0 and 0 <= drop_share < 1):
            raise UsageError(f"Expected rate_factor > 0 and 0 <= drop_share < 1, got {rate_factor=}, {drop_share=}.")
        state.training.adjust(rate_factor, drop_share, balance)
        return state

    def steps_to_check(self, state: State) -> int:
        """Returns the steps of an epoch, or of several where there are many."""
        assert isinstance(state, NetworkState)
        plan, rows = state.training.plan, len(state.training.rows)
        return int(max(-(-rows // plan.batch_size), -(-plan.planned // N_CHECKS)))

    def has_same_body(self, a: Mapping[str, Scalar], b: Mapping[str, Scalar]) -> bool:
        return all(a.get(name) == b.get(name) for name in {*a, *b} - TRAINING)

    def with_body(self, configuration: Mapping[str, Scalar], other: Mapping[str, Scalar]) -> Configuration:
        body = {name: value for name, value in other.items() if name not in TRAINING}
        return body | {name: value for name, value in configuration.items() if name in TRAINING}

    def save(self, state: State) -> dict[str, bytes]:
        from gstar.networks.saving import dump

        assert isinstance(state, NetworkState)
        about = {"classes": state.classes.tolist(), "n_classes": state.n_classes}
        if state.training is None:
            parts = dump(state.network, state.structure)
        else:
            with state.training.evaluated() as network:
                parts = dump(network, state.structure)
        parts |= {} if state.encoder is None else state.encoder.save()
        return parts | {"about.json": json.dumps(about).encode(), "scale.json": state.scale.dump()}

    def load(self, parts: Mapping[str, bytes]) -> NetworkState:
        from gstar.networks.saving import load, structure_of

        structure = structure_of(parts)
        try:
            self.space.validate(structure["configuration"])
            about = json.loads(parts["about.json"])
            classes, n_classes = np.array(about["classes"], int), int(about["n_classes"])
            scale = TargetScale.parse(parts["scale.json"])
            encoder = TableEncoder.load(parts) if "encoder.json" in parts else None
            fits = structure["outputs"] == max(1, len(classes)) and all(0 <= c < n_classes for c in classes)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UntrustedFileError(f"The parts of a {self.name} model are not its own ({error!r:.120}).") from error
        if not fits:
            raise UntrustedFileError(f"The classes of a {self.name} model do not fit its structure.")
        return NetworkState(structure, encoder, classes, n_classes, scale, load(parts))


def _tensors(arrays: tuple[Array, ...]) -> tuple[Any, ...]:
    import torch

    return tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays)


def _make(structure: Mapping[str, Any], tensors: tuple[Any, ...], spec: TrainingSpec) -> Any:
    """Builds a network, fits it to the scale of the rows, and starts it from other weights if there are such."""
    from gstar.networks.bodies import build
    from gstar.networks.saving import tensors_of
    from gstar.networks.training import initialise

    network = build(structure)
    network.prepare(*tensors)
    if spec.initial is not None:
        initialise(network, tensors_of(spec.initial), frozen=spec.frozen)
    return network


def batch_rows(configuration: Mapping[str, Scalar], rows: int) -> int:
    """Returns the rows of a batch: those of the configuration, or fewer where rows are few."""
    return min(int(configuration.get("batch_size") or LEAST_BATCH), max(LEAST_BATCH, rows // FEWEST_BATCHES))


def _plan(spec: TrainingSpec, rows: int) -> Any:
    from gstar.networks.training import Plan

    c = spec.configuration
    batch_size = batch_rows(c, rows)
    planned = int(c["epochs"] or 1) * -(-rows // batch_size)
    optimiser = str(c["optimiser"])
    rate = float(c["learning_rate" if optimiser == "adamw" else "sgd_rate"] or 0.0)
    decay = float(c["weight_decay"] or 0.0)
    return Plan(batch_size, planned, optimiser, rate, decay, dict(spec.schedule), spec.pace, spec.threads)
