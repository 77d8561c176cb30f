"""A g that was meta-trained, as one file: a space of strategies, meta-parameters, and what they were learned from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from gstar.contexts import NAMES
from gstar.distribution import TreeDistribution
from gstar.errors import GstarError, StorageError, UntrustedFileError, UsageError
from gstar.space import Space

Array: TypeAlias = np.ndarray

FORMAT: Final = "gstar-g-1"


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
        from safetensors.numpy import save

        described = {
            "space": self.g.space.to_json(),
            "context": list(NAMES) if self.g.context_size else [],
            "hidden": self.g.hidden,
            "about": dict(self.about),
        }
        content = save({"meta": np.ascontiguousarray(self.meta, float)}, {"format": FORMAT, "g": json.dumps(described)})
        beside = path.with_name(path.name + ".part")
        try:
            beside.write_bytes(content)
            beside.replace(path)
        except OSError as error:
            raise StorageError(f"{path} could not be written: {error}") from error

    @staticmethod
    def load(path: Path) -> Learned:
        """Reads the file; nothing in it is ever run.

        Raises:
            StorageError: If it cannot be read.
            UntrustedFileError: If it is something else or damaged.
            UsageError: If it sees tasks in a way that this version does not.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            content = path.read_bytes()
        except OSError as error:
            raise StorageError(f"{path} could not be read: {error}") from error
        try:
            meta = load(content)["meta"]
            header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
            if header["format"] != FORMAT:
                raise ValueError(f"its format is {header['format']!r}, expected {FORMAT!r}")
            described = json.loads(header["g"])
            seen, hidden = tuple(described["context"]), int(described["hidden"])
            space, about = Space.from_json(described["space"]), dict(described["about"])
        except (SafetensorError, GstarError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UntrustedFileError(f"Expected a g that `gstar meta-train` wrote in {path}, but {error}.") from error
        if seen not in ((), NAMES):
            raise UsageError(f"{path} was learned with another description of tasks; meta-train it again.")
        g = TreeDistribution(space, context_size=len(seen), hidden=hidden)
        if meta.shape != (g.size,) or not np.isfinite(meta).all():
            raise UntrustedFileError(f"Expected {g.size} finite meta-parameters in {path}, got shape {meta.shape}.")
        return Learned(g, meta, about)
