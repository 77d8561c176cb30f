"""A g that was meta-trained, as one file: a space of strategies, meta-parameters, and what they were learned from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from gstar.contexts import NAMES
from gstar.distribution import TreeDistribution
from gstar.errors import UntrustedFileError, UsageError
from gstar.space import Space
from gstar.tensorfile import DAMAGED, TensorFile

Array: TypeAlias = np.ndarray

FILE: Final = TensorFile("g", "g that `gstar meta-train` wrote", "gstar-g-1", "g", 2**26)


@dataclass(frozen=True, eq=False)
class Learned:
    """Is what a meta-training leaves.

    Args:
        g: The distribution over strategies, given what `gstar.contexts` tells of a task.
        meta: ``(W,)`` its meta-parameters.
        about: Where they come from: numbers of tasks and trials, rewards, why it stopped, versions. JSON values.
    """

    g: TreeDistribution
    meta: Array
    about: Mapping[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Writes the file: safetensors, with everything but the weights as JSON in its metadata.

        Raises:
            StorageError: If it cannot be written.
        """
        described = {
            "space": self.g.space.to_json(),
            "context": list(NAMES) if self.g.context_size else [],
            "hidden": self.g.hidden,
            "about": dict(self.about),
        }
        FILE.write(path, {"meta": self.meta}, described)

    @staticmethod
    def load(path: Path) -> Learned:
        """Reads the file; nothing in it is ever run.

        Raises:
            StorageError: If it cannot be read.
            UntrustedFileError: If it is something else or damaged.
            UsageError: If it sees tasks in a way that this version does not.
        """
        arrays, described = FILE.read(path)
        try:
            meta = arrays["meta"]
            seen, hidden = tuple(described["context"]), int(described["hidden"])
            space, about = Space.from_json(described["space"]), dict(described["about"])
            g = TreeDistribution(space, context_size=len(seen), hidden=max(0, min(hidden, FILE.most_bytes // 8)))
        except DAMAGED as error:
            raise FILE.refusal(path, error) from error
        if seen not in ((), NAMES):
            raise UsageError(f"{path} was learned with another description of tasks; meta-train it again.")
        if meta.shape != (g.size,) or not np.isfinite(meta).all():
            raise UntrustedFileError(f"Expected {g.size} finite meta-parameters in {path}, got shape {meta.shape}.")
        return Learned(g, meta, about)
