"""Distributions over strategies: what g is.

truncated    the normal cut to the unit interval
segments     sums and shares of columns that belong to several heads
heads        one distribution for each kind of parameter
stacks       heads of one kind, computed together
maps         meta-parameters and a context -> the raw numbers of the heads
tree         g over all points of a space
finite       what a distribution over a list of strategies needs
candidates   g cut to a finite list of strategies
memory       g that attends to remembered tasks
"""

from gstar.distribution.base import AbstractDistribution
from gstar.distribution.candidates import CandidateDistribution
from gstar.distribution.finite import FiniteDistribution
from gstar.distribution.memory import Memory, MemoryDistribution
from gstar.distribution.points import Points
from gstar.distribution.tree import TreeDistribution

__all__ = [
    "AbstractDistribution",
    "CandidateDistribution",
    "FiniteDistribution",
    "Memory",
    "MemoryDistribution",
    "Points",
    "TreeDistribution",
]
