"""`skops.io`, imported without the array libraries that nothing here needs.

When skops is imported it walks through all of scikit-learn, which includes adapters that import
torch, dask and cupy where they are installed: 2 s and 150 MB in every new process. While it walks, they are
hidden; whoever wants them later imports them as ever.
"""

from __future__ import annotations

import sys
from typing import Any, Final

HIDDEN: Final = ("torch", "dask", "dask.array", "cupy")

_hidden: Final = [name for name in HIDDEN if name not in sys.modules]
_modules: Final[dict[str, Any]] = sys.modules
for _name in _hidden:
    _modules[_name] = None
try:
    from skops.io import dumps, get_untrusted_types, loads
    from skops.io.exceptions import UntrustedTypesFoundException
finally:
    for _name in _hidden:
        del _modules[_name]

__all__ = ["UntrustedTypesFoundException", "dumps", "get_untrusted_types", "loads"]
