"""Everything that gstar remembers: tasks, strategies, runs, trials, policies."""

from gstar.experience.experience import Experience
from gstar.experience.knowledge import join
from gstar.experience.shipped import read_shipped, write_shipped
from gstar.experience.values import ExperienceStatus, ExperienceWarning, PolicyVersion, Run

__all__ = [
    "Experience",
    "ExperienceStatus",
    "ExperienceWarning",
    "PolicyVersion",
    "Run",
    "join",
    "read_shipped",
    "write_shipped",
]
