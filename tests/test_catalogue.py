"""Learners in words, and the page that lists them all: ``python -m tests.test_catalogue`` writes it anew."""

from pathlib import Path

import pytest

from gstar.catalogue import lines_of, needs, summary, takes
from gstar.learner import AbstractLearner, find_learner
from gstar.space import Categorical, Condition, Integer, Real, Space
from gstar.strategy import INIT_SPACE, PACED_SELECTION_SPACE, SCHEDULE_SPACE
from tests.learners.test_contract import LEARNERS

PAGE = Path(__file__).parents[1] / "docs" / "learners.md"
HEAD = """# Learners

What can be trained, what it takes, and every parameter of it; `gstar learners` shows the same of what is installed.
This page is written from the code (`tests/test_catalogue.py`). A number that is `(log)` is searched on a logarithmic
scale. A learner of your own is a class with an entry point: see `src/gstar/learner.py: AbstractLearner`.
"""
PARTS = {
    "Rows and their order": (
        "Part of every strategy: which support rows are trained on; `pace` and `drop_share` only of learners that "
        "train by mini-batches (**order**).",
        PACED_SELECTION_SPACE,
    ),
    "Learning rate": (
        "How the rate moves, as a factor on the configured one; of learners with a **schedule**.",
        SCHEDULE_SPACE,
    ),
    "First weights": ("Of learners that can **begin with weights** of a similar task (`--weights`).", INIT_SPACE),
}


def table_of(space: Space) -> list[str]:
    rows = [f"| `{x.name}` | {x.values} | {x.default} | {x.when} |" for x in lines_of(space)]
    return ["", "| parameter | values | default | when |", "|---|---|---|---|", *rows] if rows else []


def section_of(learner: AbstractLearner) -> list[str]:
    able = {
        "schedule": learner.has_schedule,
        "order": learner.handles_pace,
        "begin with weights": learner.handles_initial,
        "control during training": learner.handles_control,
    }
    facts = [f"Takes: {takes(learner)}.", f"Needs: `{needs(learner)}`." if needs(learner) else ""]
    facts += [f"Also: {', '.join(name for name, is_so in able.items() if is_so)}."] if any(able.values()) else []
    return [
        "",
        f"## {learner.name}",
        "",
        f"{summary(learner)} {' '.join(filter(None, facts))}",
        *table_of(learner.space),
    ]


def page() -> str:
    lines = [HEAD.rstrip()]
    for name in sorted(LEARNERS):
        lines += section_of(find_learner(name))
    for title, (text, space) in PARTS.items():
        lines += ["", f"## {title}", "", text, *table_of(space)]
    return "\n".join(lines) + "\n"


def test_the_page_is_what_the_code_says():
    assert PAGE.read_text() == page(), "write it anew: python -m tests.test_catalogue"


def test_every_parameter_is_described():
    space = Space(
        {
            "a": Categorical((None, True, "x")),
            "b": Integer(1, 9, log=True, default=3),
            "c": Real(0.5, 2.0, default=1.0),
        },
        {"b": Condition("a", (True, "x"))},
    )
    assert [tuple(vars(line).values()) for line in lines_of(space)] == [
        ("a", "none, yes, x", "none", ""),
        ("b", "1 to 9 (log)", "3", "a is yes or x"),
        ("c", "0.5 to 2.0", "1.0", ""),
    ]


@pytest.mark.parametrize("name", LEARNERS)
def test_every_learner_says_what_it_does(name: str):
    said = summary(find_learner(name))
    assert said.endswith(".")
    assert "\n" not in said


if __name__ == "__main__":
    PAGE.write_text(page())
