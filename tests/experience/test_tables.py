from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gstar.experience.tables import escape, unescape

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=[]))


@given(ANY_TEXT)
def test_any_text_comes_back(text: str):
    assert unescape(escape(text)) == text


@given(ANY_TEXT)
def test_what_is_stored_is_plain_utf_8_without_nul(text: str):
    assert "\x00" not in escape(text)
    assert escape(text).encode("utf-8").decode("utf-8") == escape(text)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\\\x00")))
def test_ordinary_text_is_stored_as_it_is(text: str):
    assert escape(text) == text
