"""Pictures of a meta-training: reward, entropy, and how probability moves among strategies."""

from __future__ import annotations

import html
import io
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np

from gstar.errors import DataError, MissingExtraError, StorageError

MOST: Final = 500
"""Iterations that are drawn; of more, every n-th."""
SMOOTH: Final = 10
"""Iterations that a line is averaged over."""


def draw_trace(lines: Sequence[Mapping[str, Any]], png: Path, *, title: str = "") -> list[Path]:
    """Draws a trace as a PNG, and as an HTML page beside it that needs nothing else.

    Args:
        lines: What `gstar.trace.read_trace` returns.
        png: Where the picture goes.
        title: Above it.

    Returns:
        The two files.

    Raises:
        DataError: If there is nothing to draw.
        MissingExtraError: If matplotlib is not installed.
        StorageError: If a file cannot be written.
    """
    if not lines:
        raise DataError("Expected the trace of at least one iteration, got none.")
    check_installed()
    from matplotlib.figure import Figure

    forms = list(lines[-1]["chances"])
    figure = Figure(figsize=(9, 2.6 * (2 + len(forms))), layout="constrained")
    axes = figure.subplots(2 + len(forms), 1, sharex=True, squeeze=False)[:, 0]
    reward = np.array([line["reward"] for line in lines])
    places = np.linspace(0, len(lines) - 1, min(len(lines), MOST)).astype(int)
    smoothed, reward, lines = _smoothed(reward)[places], reward[places], [lines[i] for i in places]
    trials = np.array([line["trials"] for line in lines])
    axes[0].plot(trials, reward, color="0.8", linewidth=1)
    axes[0].plot(trials, smoothed, color="C0")
    axes[0].set_ylabel("reward")
    axes[0].set_title(title or "reward that g expects", parse_math=False)
    axes[1].plot(trials, [line["entropy"] for line in lines], color="C1")
    axes[1].set_ylabel("entropy (nats)")
    for axis, form in zip(axes[2:], forms, strict=True):
        names = list(lines[-1]["chances"][form])
        shares = np.array([[line["chances"][form].get(name, 0.0) for name in names] for line in lines])
        axis.stackplot(trials, shares.T, labels=names, alpha=0.85)
        axis.set_ylabel(f"g on {form}")
        axis.set_ylim(0, 1)
        axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small", frameon=False)
    axes[-1].set_xlabel("trials")
    page, picture = png.with_suffix(".html"), io.StringIO()
    figure.savefig(picture, format="svg", metadata={"Date": None})
    try:
        figure.savefig(png, dpi=100)
        page.write_text(_page(title or "Meta-training", picture.getvalue(), lines[-1]), encoding="utf-8")
    except OSError as error:
        raise StorageError(f"The picture {png} could not be written: {error}") from error
    return [png, page]


def check_installed() -> None:
    """Makes sure that pictures can be drawn.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise MissingExtraError("Plots need matplotlib; install it with: pip install 'gstar[plots]'")


def _smoothed(values: np.ndarray) -> np.ndarray:
    """Returns running means over the last iterations."""
    sums = np.cumsum(np.r_[0.0, values])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - SMOOTH)
    return np.asarray((sums[ends] - sums[starts]) / (ends - starts))


def _page(title: str, svg: str, last: Mapping[str, Any]) -> str:
    """Returns a page with the picture and where g stands at the end."""
    rows = "".join(
        f"<tr><td>{html.escape(form)}</td><td>{html.escape(name)}</td><td>{share:.3f}</td></tr>"
        for form, shares in last["chances"].items()
        for name, share in sorted(shares.items(), key=lambda item: -item[1])
    )
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{html.escape(title)}</title>"
        "<style>body{font-family:sans-serif;max-width:60em;margin:2em auto}td{padding:.2em 1em}</style>"
        f"<h1>{html.escape(title)}</h1>"
        f"<p>{last['iteration']} iterations, {last['trials']} trials, {last['failed']} of them failed.</p>"
        f"{svg[svg.index('<svg') :]}<h2>Where g stands</h2><table>{rows}</table></html>"
    )
