"""Saves a forest as plain arrays: all nodes of all trees behind one another.

A forest of 100 trees has thousands of small objects; saved one by one they take 20 times
the room and the time. The arrays are those of scikit-learn's own `Tree`, so what is loaded
predicts bit for bit as what was saved.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from gstar.errors import UntrustedFileError

KINDS: Final = (
    "RandomForestClassifier",
    "RandomForestRegressor",
    "ExtraTreesClassifier",
    "ExtraTreesRegressor",
)


def dump_forest(forest: Any) -> bytes:
    """Returns a fitted forest as the bytes of an ``.npz`` file without objects."""
    states = [tree.tree_.__getstate__() for tree in forest.estimators_]
    content = io.BytesIO()
    np.savez(
        content,
        kind=np.array(KINDS.index(type(forest).__name__)),
        n_features=np.array(forest.n_features_in_),
        n_classes=np.array(getattr(forest, "n_classes_", 0)),
        depths=np.array([state["max_depth"] for state in states]),
        counts=np.array([state["node_count"] for state in states]),
        values=np.concatenate([state["values"] for state in states]),
        **_columns(np.concatenate([state["nodes"] for state in states])),
    )
    return content.getvalue()


def load_forest(content: bytes) -> Any:
    """Builds a forest that predicts as the saved one did.

    Raises:
        UntrustedFileError: If the arrays are not those of a forest.
    """
    from sklearn import ensemble
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
    from sklearn.tree._tree import NODE_DTYPE, Tree

    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
        nodes = np.zeros(len(found["feature"]), NODE_DTYPE)
        for name in NODE_DTYPE.names:
            nodes[name] = found[name]
        kind, n_classes = int(found["kind"]), int(found["n_classes"])
        _check(nodes, found)
        ends = np.cumsum(found["counts"])
        forest = getattr(ensemble, KINDS[kind])(n_estimators=len(ends))
        grow = DecisionTreeClassifier if n_classes else DecisionTreeRegressor
        classes_per_output = np.array([max(1, n_classes)], np.intp)
        forest.estimators_ = []
        for start, end, depth in zip(ends - found["counts"], ends, found["depths"], strict=True):
            tree = Tree(int(found["n_features"]), classes_per_output, 1)
            state = {
                "max_depth": int(depth),
                "node_count": int(end - start),
                "nodes": np.ascontiguousarray(nodes[start:end]),
                "values": np.ascontiguousarray(found["values"][start:end]),
            }
            tree.__setstate__(state)
            member = grow()
            member.tree_, member.n_outputs_, member.n_features_in_ = tree, 1, int(found["n_features"])
            member.max_features_ = member.n_features_in_
            if n_classes:
                member.n_classes_, member.classes_ = n_classes, np.arange(n_classes)
            forest.estimators_.append(member)
        forest.n_features_in_, forest.n_outputs_ = int(found["n_features"]), 1
        if n_classes:
            forest.n_classes_, forest.classes_ = n_classes, np.arange(n_classes)
    except (KeyError, IndexError, ValueError, TypeError, OSError, EOFError) as error:
        raise UntrustedFileError(f"A model part is not a forest as gstar saves it ({error!r:.200}).") from error
    return forest


def _columns(nodes: np.ndarray) -> dict[str, Any]:
    return {name: np.ascontiguousarray(nodes[name]) for name in nodes.dtype.names or ()}


def _check(nodes: np.ndarray, found: Mapping[str, np.ndarray]) -> None:
    """Refuses nodes that point outside their tree or backwards, or at columns that are not there."""
    counts = found["counts"]
    if counts.min() < 1 or counts.sum() != len(nodes) or len(found["values"]) != len(nodes):
        raise ValueError("the counts of nodes do not add up")
    size = np.repeat(counts, counts)
    place = np.arange(len(nodes)) - np.repeat(np.cumsum(counts) - counts, counts)
    inner = nodes["left_child"] != -1
    for child in (nodes["left_child"], nodes["right_child"]):
        if np.any(inner & ((child <= place) | (child >= size))):
            raise ValueError("a node points outside its tree")
    if np.any(inner & ((nodes["feature"] < 0) | (nodes["feature"] >= int(found["n_features"])))):
        raise ValueError("a node looks at a column that is not there")
