"""Is a worker in a fresh interpreter, for systems on which forking is not safe.

Reads one pickled request from standard input, which its parent has just written there.
"""

from __future__ import annotations

import pickle
import sys

from gstar.executors import child

if __name__ == "__main__":
    child.run(pickle.loads(sys.stdin.buffer.read()))
