"""`skops.io`, without what makes it slow: array libraries that nothing here needs, and indentation.

When skops is imported it walks through all of scikit-learn, which includes adapters that import
torch, dask, cupy and pytest where they are installed: 2 s and 150 MB in every new process. While it walks, they are
hidden, as if they were not installed; whoever wants them later imports them as ever.

What it saves is JSON in a zip file. It asks for lines and indentation, for which `json` has no fast path:
half the time of a short training went into that.
"""

from __future__ import annotations

import json
from types import SimpleNamespace

from gstar.absent import absent

with absent("torch", "dask", "cupy", "pytest"):
    from skops.io import _persist, dumps, get_untrusted_types, loads
    from skops.io.exceptions import UntrustedTypesFoundException

_persist.json = SimpleNamespace(dumps=lambda state, **_: json.dumps(state, separators=(",", ":")), loads=json.loads)

__all__ = ["UntrustedTypesFoundException", "dumps", "get_untrusted_types", "loads"]
