"""What learners there are, what they take, and what can be configured: in words, for people."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

from gstar.inputs import FORMS
from gstar.learner import AbstractLearner
from gstar.space import Categorical, Parameter, Scalar, Space


@dataclass(frozen=True)
class Line:
    """Is a parameter in words.

    Args:
        name: Its name.
        values: What it may be.
        default: Where a newcomer should start.
        when: Under which condition it counts; empty: always.
    """

    name: str
    values: str
    default: str
    when: str


def lines_of(space: Space) -> list[Line]:
    """Returns the parameters of a space, parents first.

    Example:
        >>> from gstar.learners.linear import Linear
        >>> lines_of(Linear.space)[2]
        Line(name='l1_share', values='0.05 to 0.95', default='0.5', when='penalty is elastic')
    """
    return [Line(name, _values(p), _word(p.default), _when(space, name)) for name, p in space.parameters.items()]


def summary(learner: AbstractLearner) -> str:
    """Returns what a learner does, in one sentence."""
    return (inspect.getdoc(type(learner)) or "").partition("\n\n")[0].replace("\n", " ")


def takes(learner: AbstractLearner) -> str:
    """Returns the forms of rows, and the kinds of task unless it takes all."""
    forms = [form for form in FORMS if form in learner.forms]
    few = "" if len(learner.kinds) == 3 else f" ({', '.join(sorted(learner.kinds))})"
    return ", ".join(forms) + few


def needs(learner: AbstractLearner) -> str:
    """Returns the extra that brings the libraries it needs; empty if they come with gstar."""
    return f"gstar[{learner.extra}]" if learner.requires else ""


def _values(parameter: Parameter) -> str:
    if isinstance(parameter, Categorical):
        return ", ".join(_word(choice) for choice in parameter.choices)
    log = " (log)" if parameter.log else ""
    return f"{_word(parameter.low)} to {_word(parameter.high)}{log}"


def _when(space: Space, name: str) -> str:
    condition = space.conditions.get(name)
    return "" if condition is None else f"{condition.parent} is {' or '.join(map(_word, condition.values))}"


def _word(value: Scalar) -> str:
    return {True: "yes", False: "no", None: "none"}[value] if value is None or isinstance(value, bool) else f"{value}"
