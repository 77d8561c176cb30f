"""Makes what gstar may know in a comparison: the shipped experience without one fold of families, for each fold.

    python benchmarks/knowledge.py

`families.py` says which family is in which fold. The files go to ``benchmarks/work/knowledge``.
"""

from __future__ import annotations

import gzip
import json

from families import N_FOLDS, family_fold
from quality import KNOWLEDGE

from gstar.experience.shipped import HOME


def main() -> None:
    KNOWLEDGE.mkdir(parents=True, exist_ok=True)
    with gzip.open(HOME, "rt", encoding="utf-8") as shipped:
        lines = shipped.readlines()
    for fold in range(N_FOLDS):
        kept = [line for line in lines if family_fold(json.loads(line).get("family", "")) != fold or "task" not in line]
        with gzip.open(KNOWLEDGE / f"fold{fold}.jsonl.gz", "wt", encoding="utf-8") as out:
            out.writelines(kept)
        print(f"fold {fold}: {len(lines) - len(kept)} tasks left out")


if __name__ == "__main__":
    main()
