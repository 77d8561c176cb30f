"""A strategy during training: what a controller sees of a training, and what it decides on the way.

At a few points of a training it looks once (`Observation`) and takes one of a few decisions
(`DECISIONS`): go on, a lower or a higher learning rate, leave out the rows of highest loss, weigh classes
evenly, stop. Which one is drawn from the same g as everything else: a softmax over the decisions whose
logits come from the observation. `gstar.branching` trains it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, fields
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from gstar.errors import UntrustedFileError, UsageError
from gstar.space import Categorical, Space
from gstar.tensorfile import DAMAGED, TensorFile

if TYPE_CHECKING:
    from gstar.distribution import TreeDistribution

Array: TypeAlias = np.ndarray

FILE: Final = TensorFile("controller", "controller", "gstar-controller-1", "controller", 2**20)
POINTS: Final = (0.25, 0.5, 0.75)
"""Progress at which decisions are taken, at the first look at the validation rows from there on."""
SHIPPED: Final = "controller.safetensors"


@dataclass(frozen=True)
class Decision:
    """Is what changes from now on.

    Args:
        name: Its name.
        rate_factor: Multiplies the learning rate.
        drop_share: Share of the rows, those of highest loss in each class, that is left out.
        balance: Whether classes are weighed evenly, by the loss on the validation rows as well.
        stop: Whether training ends here, with the state that was best.
    """

    name: str
    rate_factor: float = 1.0
    drop_share: float = 0.0
    balance: bool = False
    stop: bool = False


GO_ON: Final = Decision("go_on")
DECISIONS: Final = (
    GO_ON,
    Decision("slower", rate_factor=0.3),
    Decision("faster", rate_factor=3.0),
    Decision("drop", drop_share=0.25),
    Decision("balance", balance=True),
    Decision("stop", stop=True),
)
DECISION_SPACE: Final = Space({"decision": Categorical(tuple(d.name for d in DECISIONS))})
_BY_NAME: Final = {decision.name: decision for decision in DECISIONS}


@dataclass(frozen=True)
class Observation:
    """Is what a controller sees at a point of a training. Losses are shares of that of a constant prediction.

    Args:
        progress: How far it has come, in [0, 1]; what is left of the time is the rest.
        support_loss: Recent loss on the support rows.
        valid_loss: Loss on the validation rows.
        best_valid_loss: The lowest so far.
        support_slope: Change of the logarithm of `support_loss` per progress, since the last point.
        valid_slope: The same of `valid_loss`.
        waited: Progress since the best state.
        contradicted: Share of the validation rows whose class was given less than half of its share; 0 for values.
        imbalance: 1 less the entropy of the classes as a share of the largest possible; 0 for values.
        is_regression: Whether the target is values.
        is_binary: Whether there are two classes.
        rate: Factor of the learning rate by schedule and decisions, now.
        rate_left: The mean factor of the schedule from here on, as a share of that now.
        rate_decided: Product of the factors decided so far.
        dropped: Whether rows are left out.
        balanced: Whether classes are weighed evenly.
        planned_steps: How many steps the whole training will take.
        rows: S, the number of support rows.
    """

    progress: float
    support_loss: float
    valid_loss: float
    best_valid_loss: float
    support_slope: float
    valid_slope: float
    waited: float
    contradicted: float
    imbalance: float
    is_regression: bool
    is_binary: bool
    rate: float
    rate_left: float
    rate_decided: float
    dropped: bool
    balanced: bool
    planned_steps: float
    rows: int

    @property
    def vector(self) -> Array:
        """``(X,)`` the numbers of `SEEN`, centred and scaled by constants, all between -3 and 3."""
        support, valid, best = (_log(v) for v in (self.support_loss, self.valid_loss, self.best_valid_loss))
        values = [
            4.0 * (self.progress - 0.5),
            support + 0.5,
            valid + 0.5,
            valid - support,
            4.0 * (valid - best),
            0.3 * self.support_slope,
            0.3 * self.valid_slope,
            0.3 * (self.valid_slope - self.support_slope),
            4.0 * self.waited,
            4.0 * self.contradicted - 0.5,
            2.0 * self.imbalance,
            float(self.is_regression),
            float(self.is_binary),
            _log(self.rate),
            _log(self.rate_left),
            _log(self.rate_decided),
            float(self.dropped),
            float(self.balanced),
            math.log10(max(1.0, self.planned_steps)) - 2.3,
            math.log10(max(1, self.rows)) - 2.5,
        ]
        return np.asarray(np.clip(np.nan_to_num(np.array(values), posinf=3.0, neginf=-3.0), -3.0, 3.0))

    @staticmethod
    def of_json(values: Mapping[str, Any]) -> Observation:
        """Builds an observation from its fields by name."""
        return Observation(**{f.name: values[f.name] for f in fields(Observation)})

    def to_json(self) -> dict[str, float]:
        """Returns the fields by name, as numbers."""
        return {f.name: float(v) for f, v in zip(fields(self), astuple(self), strict=True)}


SEEN: Final = (
    "progress",
    "log_support_loss",
    "log_valid_loss",
    "log_loss_ratio",
    "log_valid_over_best",
    "support_slope",
    "valid_slope",
    "slope_difference",
    "waited",
    "contradicted",
    "imbalance",
    "is_regression",
    "is_binary",
    "log_rate",
    "log_rate_left",
    "log_rate_decided",
    "dropped",
    "balanced",
    "log_planned_steps",
    "log_rows",
)
"""The numbers in the vector of an observation, in their order."""


def _log(value: float) -> float:
    return math.log(min(max(value, 1e-4), 1e4)) if math.isfinite(value) else 3.0


@dataclass(frozen=True, eq=False)
class Controller:
    """Draws decisions. With `rng` None it takes the most probable one, as it does in use.

    Args:
        g: The distribution over `DECISION_SPACE`, given the vector of an observation.
        meta: ``(W,)`` its meta-parameters.
        about: Where they come from. JSON values.
    """

    g: TreeDistribution
    meta: Array
    about: Mapping[str, Any] = field(default_factory=dict)

    @staticmethod
    def always(name: str, *, certainty: float = 8.0) -> Controller:
        """Returns a controller that nearly always decides the same, whatever it sees."""
        g = controller_distribution()
        meta = g.start(np.random.default_rng(0))
        meta[: len(DECISIONS)] = [certainty * (d.name == name) for d in DECISIONS]
        return Controller(g, meta)

    def decide(self, observation: Observation, rng: np.random.Generator | None = None) -> tuple[Decision, float]:
        """Returns a decision and its log-probability."""
        context = observation.vector[None]
        if rng is None:
            point = self.g.mode(self.meta, context)
        else:
            point = self.g.draw(self.meta, context, rng.random((1, self.g.n_uniforms)))
        log_prob = float(self.g.log_prob(self.meta, context, point)[0])
        return _BY_NAME[str(point.configurations[0]["decision"])], log_prob

    def save(self, path: Path) -> None:
        """Writes the file: safetensors, with everything but the weights as JSON in its metadata.

        Raises:
            StorageError: If it cannot be written.
        """
        described = {
            "decisions": [astuple(d) for d in DECISIONS],
            "points": POINTS,
            "seen": SEEN,
            "hidden": self.g.hidden,
            "about": dict(self.about),
        }
        FILE.write(path, {"meta": self.meta}, described)

    @staticmethod
    def load(path: Path) -> Controller:
        """Reads the file; nothing in it is ever run.

        Raises:
            StorageError: If it cannot be read.
            UntrustedFileError: If it is something else or damaged.
            UsageError: If it sees or decides what this version does not.
        """
        return Controller._of(*FILE.read(path), str(path))

    @staticmethod
    def _of(arrays: Mapping[str, Array], described: Mapping[str, Any], where: str) -> Controller:
        try:
            meta = arrays["meta"]
            shape = (
                [tuple(d) for d in described["decisions"]],
                tuple(described["points"]),
                tuple(described["seen"]),
            )
            hidden, about = int(described["hidden"]), dict(described["about"])
        except DAMAGED as error:
            raise FILE.refusal(where, error) from error
        if shape != ([astuple(d) for d in DECISIONS], POINTS, SEEN):
            raise UsageError(f"The controller {where} sees or decides what this version does not; train it again.")
        g = controller_distribution(max(0, min(hidden, FILE.most_bytes // 8)))
        if meta.shape != (g.size,) or meta.dtype != float or not np.isfinite(meta).all():
            raise UntrustedFileError(f"Expected {g.size} finite meta-parameters in {where}, got shape {meta.shape}.")
        return Controller(g, meta, about)


def controller_distribution(hidden: int = 0) -> TreeDistribution:
    """Returns g over decisions, given the vector of an observation.

    Args:
        hidden: Width of its network; 0: linear.
    """
    from gstar.distribution import TreeDistribution

    return TreeDistribution(DECISION_SPACE, context_size=len(SEEN), hidden=hidden)


def get_controller(name: str) -> Controller | None:
    """Returns the controller that a strategy names.

    Args:
        name: ``"none"``; ``"learned"``, the one in the package; or the path of a file that `Controller.save` wrote.

    Raises:
        StorageError, UntrustedFileError, UsageError: If there is no such file, it is damaged, or of another version.
    """
    if name == "none":
        return None
    if name == "learned":
        return Controller._of(*FILE.parse((files("gstar") / "shipped" / SHIPPED).read_bytes(), SHIPPED), SHIPPED)
    if not name.endswith(".safetensors"):
        raise UsageError(f"Expected control 'none', 'learned' or a .safetensors file, got {name!r}.")
    return Controller.load(Path(name))
