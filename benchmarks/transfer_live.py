"""Does a live meta-training learn when to begin with remembered weights? Asked about tasks that it has not seen.

    python benchmarks/transfer_live.py DATA [--iterations 6]        # every trial is a network that is trained

DATA holds images/ and omniglot/. Networks on digits, on letters of three alphabets and on photos of five things
are remembered. `meta_train` then lets g choose among scratch, fine-tuned and frozen, all else of the strategy fixed,
on small tasks of other alphabets and other photos. On tasks of alphabets and things that were held out all three
are trained, and g is compared with each. It is done twice, so that each of the five alphabets is held out once.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from transfer import ALPHABETS, INITS, interval, load_images, say, sources, strategy_for, task_of, train

from gstar.executors import Limits, ProcessExecutor
from gstar.families import Family, episodes_of
from gstar.learned import Learned
from gstar.learner import get_learner
from gstar.metatraining import default_settings, meta_train
from gstar.space import Categorical, Space
from gstar.strategy import Strategy
from gstar.trace import init_chances
from gstar.trial import Proposal
from gstar.weights import Weights
from gstar.worlds.live import LiveTask, LiveWorld

REMEMBERED = ("digits", "letters", "photos 0-4")
FOLDS = (
    (("Greek", "Latin", "Sanskrit"), (5, 6, 7)),
    (("Tagalog", "Japanese"), (7, 8, 9)),
)
"""What is learned from: alphabets, and kinds of photo. The alphabets and kinds of photo that are left are held out."""
WAYS = (5, 8)
"""Letters per task, with twenty drawings of each."""
PHOTO_ROWS = 120
TRIAL_S = 60.0


def remember(data: Path, folder: Path) -> Weights:
    """Returns the store, with a network for each of `REMEMBERED`."""
    store = Weights(folder, quota_mb=100.0)
    for task in sources(data):
        if task.name in REMEMBERED:
            strategy = strategy_for(task.form, "scratch")
            learner, state = train(task, np.arange(len(task)), strategy, None, 0)
            store.keep(task, strategy, learner.save(state), run="")
            say(f"remembered {task.name}: {len(task)} rows, {task.n_classes} classes")
        if len(list(store)) == len(REMEMBERED):
            return store
    raise AssertionError("not all sources are there")


def alphabets(data: Path, names: tuple[str, ...], n: int, seed: int) -> list[Family]:
    """Returns n tasks of each alphabet."""
    images = load_images(data)
    whole = []
    for name in names:
        x, y = next(value for key, value in images.items() if key.startswith(name))
        whole.append(Family(task_of(x, y, name), name))
    return episodes_of(whole, ways=WAYS, n=n, seed=seed)


def photos(data: Path, kinds: tuple[int, ...], n: int) -> Iterator[Family]:
    """Yields n tasks for each pair of kinds, no row in two of them."""
    x, y = load_images(data)["photos"]
    pairs = list(itertools.combinations(kinds, 2))
    for k, (i, pair) in itertools.product(range(n), enumerate(pairs)):
        half, chunk = PHOTO_ROWS // 2, k * len(pairs) + i
        rows = np.concatenate([np.flatnonzero(y == kind)[chunk * half : (chunk + 1) * half] for kind in pair])
        yield Family(task_of(x[rows], y[rows], f"photos {pair} {k}"), "photos")


def only(strategy: Strategy) -> Space:
    """Returns the space of this strategy alone."""
    return Space({name: Categorical((value,)) for name, value in strategy.to_point().items()})


@dataclass(frozen=True, eq=False)
class Asked:
    """Is what came of the tasks that were held out.

    Args:
        groups: ``(T,)`` the alphabet, or the pair of photos.
        chances: ``(T, 3)`` what g gives to each of `INITS`.
        rewards: ``(T, 3)`` of each.
    """

    groups: np.ndarray
    chances: np.ndarray
    rewards: np.ndarray

    def print(self) -> None:
        """Prints a line for each group, and g against each fixed choice."""
        print("\n| held out | tasks | scratch | fine-tuned | frozen | g gives to these | g, drawn | g, most likely |")
        print("|---|---|---|---|---|---|---|---|")
        own = self.rewards[np.arange(len(self.rewards)), self.chances.argmax(axis=1)]
        drawn = (self.chances * self.rewards).sum(axis=1)
        for group in dict.fromkeys(self.groups.tolist()):
            rows = self.groups == group
            means = " | ".join(f"{x:.2f}" for x in self.rewards[rows].mean(axis=0))
            shares = " ".join(f"{x:.2f}" for x in self.chances[rows].mean(axis=0))
            print(
                f"| {group} | {rows.sum()} | {means} | {shares} | {drawn[rows].mean():.2f} | {own[rows].mean():.2f} |"
            )
        print("\nReward of what g finds most likely, less that of another rule; mean over groups [95 % over groups]")
        for i, init in enumerate((*INITS, "oracle")):
            other = self.rewards.max(axis=1) if init == "oracle" else self.rewards[:, i]
            mean, low, high = interval(own - other, self.groups)
            print(f"  {'always ' if init != 'oracle' else ''}{init}: {mean:+.3f} [{low:+.3f}, {high:+.3f}]")


def ask(learned: Learned, families: list[Family], store: Weights, seed: int) -> Asked:
    """Trains all three on each task, and asks g."""
    able = {"cnn": get_learner("cnn")}
    live = [LiveTask.of(f.task, family=f.family, seconds=TRIAL_S, seed=seed) for f in families]
    live = [replace(t, sources=store.sources(t.task.take(t.support), able).nearest()) for t in live]
    items = np.repeat(np.arange(len(live)), len(INITS)).tolist()
    proposals = [Proposal(strategy_for("images", init), 0.0, "given") for _ in live for init in INITS]
    with ProcessExecutor(2) as executor, LiveWorld(live, executor, Limits(time_s=TRIAL_S)) as world:
        trials = world.trials(items, proposals, [seed] * len(items))
    scores = np.reshape([t.query_score for t in trials], (len(live), len(INITS)))
    rewards = np.stack([t.scale.reward(row) for t, row in zip(live, scores, strict=True)])
    chances = [init_chances(learned.g, learned.meta, t.context[None]) for t in live]
    for t in live:
        ((apart, source),) = t.sources.found
        say(f"{t.task.name}: nearest is {source.name}, {apart:.2f}")
    return Asked(
        np.array([f.task.name.rpartition(" ")[0] or f.family for f in families]),
        np.array([[found[init] for init in INITS] for found in chances]),
        np.maximum(rewards, -1.0),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--iterations", type=int, default=6)
    given = parser.parse_args()
    parts, begin = [], time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        store = remember(given.data, Path(folder) / "weights")
        for fold, (names, kinds) in enumerate(FOLDS):
            others = tuple(name for name in ALPHABETS if name not in names)
            left = tuple(kind for kind in range(5, 10) if kind not in kinds)
            seen = [*alphabets(given.data, names, 12 // len(names), fold), *photos(given.data, kinds, 2)]
            new = [*alphabets(given.data, others, 12 // len(others), fold), *photos(given.data, left, 4)]
            how = replace(default_settings(fold, iterations=given.iterations), rate=0.05, tasks=8, strategies=3)
            learned = meta_train(
                seen, only(strategy_for("images", "scratch")), out=Path(folder) / f"g{fold}", trial_s=TRIAL_S,
                settings=how, weights=store, workers=2,
                listener=lambda p: say(f"iteration {p.iteration}: reward {p.reward:.3f}, entropy {p.entropy:.2f}"),
            )  # fmt: skip
            parts.append(ask(learned, new, store, seed=100 + fold))
            what = f"{len(seen)} tasks: {', '.join(names)}, photos of {kinds}"
            print(f"learned from {what}; {learned.about['trials']} trials", flush=True)
    Asked(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("groups", "chances", "rewards"))).print()
    say(f"{time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main()
