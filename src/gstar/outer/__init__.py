"""The outer level: g learns by the policy gradient.

loop          `run_outer`, the seven steps
state         how g learns, and all that changes while it does
ascent        how meta-parameters move along a gradient
convergence   the test that ends it
checkpoint    the state as a file
"""

from gstar.outer.checkpoint import CheckpointWarning
from gstar.outer.convergence import Convergence
from gstar.outer.loop import OuterResult, Progress, run_outer
from gstar.outer.state import OuterSettings, OuterState

__all__ = ["CheckpointWarning", "Convergence", "OuterResult", "OuterSettings", "OuterState", "Progress", "run_outer"]
