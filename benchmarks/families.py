"""Which fold a family of tables belongs to, so that shipped knowledge can leave a family out."""

from __future__ import annotations

import hashlib

N_FOLDS = 5


def family_fold(family: str) -> int:
    """Returns the fold, 0..4, of a family (of a table's name, if it has no family); stable for ever."""
    return int.from_bytes(hashlib.sha256(family.encode()).digest()[:8]) % N_FOLDS
