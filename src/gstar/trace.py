"""How a meta-training goes on: a line for each iteration, in a file beside g."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from gstar.distribution import TreeDistribution
from gstar.distribution.heads import CategoricalHead
from gstar.errors import StorageError
from gstar.outer import Progress
from gstar.tensorfile import DAMAGED
from gstar.worlds.live import LiveTask

Array: TypeAlias = np.ndarray


class Trace:
    """Is the file with a line for each iteration; a line that a kill cut off is mended when it goes on.

    Args:
        out: Where g goes.
    """

    def __init__(self, out: Path) -> None:
        self.path = _trace_of(out)
        lines = read_trace(out) if checkpoint_of(out).exists() else []
        self._write("".join(json.dumps(line) + "\n" for line in lines), "w")

    def append(self, line: Mapping[str, Any]) -> None:
        """Adds a line."""
        self._write(json.dumps(line) + "\n", "a")

    def _write(self, text: str, mode: str) -> None:
        try:
            with self.path.open(mode, encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise StorageError(f"The trace {self.path} could not be written: {error}") from error


def read_trace(out: Path) -> list[Mapping[str, Any]]:
    """Returns the lines of a meta-training's trace, one for each iteration, oldest first.

    Args:
        out: Where g went.
    """
    found: dict[int, Mapping[str, Any]] = {}
    path = _trace_of(out)
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    for line in text.splitlines():
        with contextlib.suppress(*DAMAGED):  # a line that a kill cut off
            value = json.loads(line)
            found[int(value["iteration"])] = value
    return [found[i] for i in sorted(found)]


def _trace_of(out: Path) -> Path:
    return out.with_name(out.name + ".trace.jsonl")


def checkpoint_of(out: Path) -> Path:
    """Returns where the checkpoint of a meta-training lies."""
    return out.with_name(out.name + ".checkpoint")


def trace_line(progress: Progress, g: TreeDistribution, live: Sequence[LiveTask]) -> dict[str, Any]:
    """Returns what a plot needs of an iteration: rewards, entropy, and how likely each choice at the root is."""
    line: dict[str, Any] = {
        "iteration": progress.iteration,
        "reward": progress.reward,
        "reward_error": progress.reward_error,
        "entropy": progress.entropy,
        "kl": progress.kl,
        "trials": progress.n_trainings,
        "failed": progress.n_failed,
    }
    forms = {form: np.stack([t.context for t in live if t.task.form == form]) for form in {t.task.form for t in live}}
    line["chances"] = {form: root_chances(g, progress.meta, contexts) for form, contexts in sorted(forms.items())}
    begun = [task.context for task in live if task.sources.found]
    if begun and "init.kind" in g.heads:
        line["init"] = init_chances(g, progress.meta, np.stack(begun))
    return line


def root_chances(g: TreeDistribution, meta: Array, contexts: Array) -> dict[str, float]:
    """Returns how likely each choice of the first category is, averaged over contexts."""
    name = next((name for name, head in g.heads.items() if isinstance(head, CategoricalHead)), None)
    return {} if name is None else _means(_chances_of(name, g, meta, contexts))


def init_chances(g: TreeDistribution, meta: Array, contexts: Array) -> dict[str, float]:
    """Returns how likely a network that could begin with weights does so, averaged over contexts."""
    kind = _chances_of("init.kind", g, meta, contexts)
    remembered = kind.pop("remembered", np.zeros(len(contexts)))
    body = _chances_of("init.body", g, meta, contexts) if "init.body" in g.heads else {}
    return _means(kind | {how: remembered * share for how, share in body.items()})


def _chances_of(name: str, g: TreeDistribution, meta: Array, contexts: Array) -> dict[str, Array]:
    """Returns how likely each choice of a category is, once it is on: ``(T,)`` for each."""
    head = g.heads[name]
    assert isinstance(head, CategoricalHead)
    shares = np.exp(head.log_probs(g.map(meta, contexts)[:, g.slices[name]]))
    return {str(choice): share for choice, share in zip(head.parameter.choices, shares.T, strict=True)}


def _means(chances: Mapping[str, Array]) -> dict[str, float]:
    return {choice: float(share.mean()) for choice, share in chances.items()}
