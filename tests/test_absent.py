"""Libraries are hidden for a while, and only those that are not loaded."""

import sys

import pytest

from gstar.absent import absent


def test_what_is_hidden_cannot_be_imported_until_it_is_over(monkeypatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    before = list(sys.meta_path)
    with absent("colorsys", "json"):
        with pytest.raises(ModuleNotFoundError, match="'colorsys', as it is hidden") as caught:
            import colorsys
        import json  # is loaded already
    assert caught.value.name == "colorsys"
    assert sys.meta_path == before
    import colorsys

    assert json.loads("1") == 1
    assert colorsys.rgb_to_hsv(0, 0, 0) == (0, 0, 0)


def test_it_ends_with_an_error_too():
    before = list(sys.meta_path)
    with pytest.raises(KeyError, match="x"), absent("colorsys"):
        raise KeyError("x")
    assert sys.meta_path == before
