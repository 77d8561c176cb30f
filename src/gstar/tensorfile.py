"""Arrays, with JSON beside them, in one safetensors file: how g, controllers and checkpoints are kept.

Reading one runs no code, and reads no more than its kind may be long. It is written beside its place and moved there,
so that there is a whole one at any moment.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from gstar.errors import StorageError, UntrustedFileError
from gstar.failpoints import failpoint

Array: TypeAlias = np.ndarray

DAMAGED: Final = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What comes of JSON that is not what it should be."""


@dataclass(frozen=True)
class TensorFile:
    """Is a kind of file.

    Args:
        name: What messages call it, such as ``"checkpoint"``.
        what: The same, so that it is clear what was expected.
        format: Names the kind and its version.
        key: Entry of the metadata that holds the JSON.
        most_bytes: A file of this kind is never larger.
        advice: What to do about one that is damaged, as a sentence after a space.
    """

    name: str
    what: str
    format: str
    key: str
    most_bytes: int
    advice: str = ""

    def write(self, path: Path, arrays: Mapping[str, Array], about: Mapping[str, Any]) -> None:
        """Writes a file; an earlier one at this path stays whole until the new one is.

        Args:
            path: Where it goes.
            arrays: They are kept as ``float64``.
            about: JSON values.

        Raises:
            StorageError: If it cannot be written.
        """
        from safetensors.numpy import save

        plain = {name: np.ascontiguousarray(array, float) for name, array in arrays.items()}
        content = save(plain, {"format": self.format, self.key: json.dumps(about)})
        beside = path.with_name(path.name + ".part")
        try:
            with beside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            failpoint(f"{self.name}.before_replace")
            beside.replace(path)
        except OSError as error:
            raise StorageError(f"The {self.name} {path} could not be written: {error}") from error

    def read(self, path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
        """Returns the arrays and the JSON of a file.

        Raises:
            StorageError: If it cannot be read.
            UntrustedFileError: If it is damaged, too long, or something else.
        """
        try:
            with path.open("rb") as file:
                content = file.read(self.most_bytes + 1)
        except OSError as error:
            raise StorageError(f"The {self.name} {path} could not be read: {error}") from error
        return self.parse(content, str(path))

    def parse(self, content: bytes, where: str) -> tuple[dict[str, Array], dict[str, Any]]:
        """Returns the same of the content of a file.

        Args:
            content: It.
            where: What messages call the place that it comes from.

        Raises:
            UntrustedFileError: If it is damaged, too long, or something else.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            if len(content) > self.most_bytes:
                raise ValueError(f"it is larger than {self.most_bytes:,} bytes")
            arrays = dict(load(content))
            header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
            if header["format"] != self.format:
                raise ValueError(f"its format is {header['format']!r}, expected {self.format!r}")
            return arrays, dict(json.loads(header[self.key]))
        except (SafetensorError, *DAMAGED) as error:
            raise self.refusal(where, error) from error

    def refusal(self, where: object, error: Exception) -> UntrustedFileError:
        """Returns the error that says what is wrong with a file."""
        cause = str(error) if " " in str(error) else repr(error)  # the text of a KeyError is a mere name
        return UntrustedFileError(f"Expected a {self.what} in {where}, but {cause:.200}.{self.advice}")
