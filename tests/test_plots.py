"""Pictures of a meta-training: two files that need nothing else."""

from __future__ import annotations

import numpy as np
import pytest

import gstar.plots
from gstar.errors import DataError, MissingExtraError, StorageError
from gstar.plots import MOST, draw_trace


def lines(n: int = 3, forms: tuple[str, ...] = ("images", "table")) -> list[dict]:
    return [
        {
            "iteration": i + 1,
            "reward": 0.1 * i,
            "entropy": 3.0 - 0.1 * i,
            "trials": 4 * (i + 1),
            "failed": 0,
            "chances": {form: {"cnn": 0.25, "<mlp>": 0.75} for form in forms},
        }
        for i in range(n)
    ]


def test_a_picture_and_a_page(tmp_path):
    pytest.importorskip("matplotlib")
    png, page = draw_trace(lines(), tmp_path / "g.png", title="g & co costs $a^{$ more")
    assert png.read_bytes().startswith(b"\x89PNG")
    text = page.read_text()
    assert page.name == "g.html"
    assert "<svg" in text
    assert "<h1>g &amp; co costs $a^{$ more</h1>" in text
    assert "<td>images</td><td>&lt;mlp&gt;</td><td>0.750</td>" in text
    assert "3 iterations, 12 trials" in text


def test_the_page_loads_nothing(tmp_path):
    pytest.importorskip("matplotlib")
    text = draw_trace(lines(), tmp_path / "g.png")[1].read_text()
    assert "<script" not in text
    assert 'src="http' not in text
    assert "<link" not in text


def test_the_same_trace_gives_the_same_picture(tmp_path):
    pytest.importorskip("matplotlib")
    one, two = (draw_trace(lines(), tmp_path / name)[0].read_bytes() for name in ("a.png", "b.png"))
    assert one == two


def test_a_long_trace_is_thinned_but_keeps_its_ends(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    seen = []
    from matplotlib.axes import Axes

    real = Axes.plot
    monkeypatch.setattr(Axes, "plot", lambda self, x, y, **k: seen.append((x, y)) or real(self, x, y, **k))
    draw_trace(lines(MOST * 3, forms=("table",)), tmp_path / "g.png")
    assert [len(x) for x, _ in seen] == [MOST] * 3
    assert (seen[0][0][0], seen[0][0][-1]) == (4, 4 * MOST * 3)


def test_rewards_are_averaged_over_the_last_iterations():
    smoothed = gstar.plots._smoothed(np.arange(30.0))
    assert smoothed[0] == 0.0
    assert smoothed[29] == np.mean(np.arange(20, 30))


def test_nothing_to_draw(tmp_path):
    with pytest.raises(DataError, match="at least one iteration"):
        draw_trace([], tmp_path / "g.png")


def test_a_folder_that_is_not_there(tmp_path):
    pytest.importorskip("matplotlib")
    with pytest.raises(StorageError, match="could not be written"):
        draw_trace(lines(), tmp_path / "none" / "g.png")


def test_matplotlib_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(gstar.plots, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"gstar\[plots\]"):
        draw_trace(lines(), tmp_path / "g.png")
    assert not list(tmp_path.iterdir())
