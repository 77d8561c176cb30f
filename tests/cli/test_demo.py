"""A real table to try things on."""

import pandas as pd

from gstar.cli.demo import TABLES


def test_tables_and_what_to_do_with_them(gstar, place):
    outcome = gstar("demo")
    assert outcome.code == 0
    train, new = (pd.read_csv(place / name) for name in TABLES)
    assert (len(train), len(new)) == (275, 69)
    assert list(train.columns) == list(new.columns)
    assert set(train["species"]) == set(new["species"])
    assert "gstar fit penguins.csv --target species" in outcome.out
    assert gstar("demo").code == 0


def test_another_table_is_not_replaced(gstar, place):
    (place / "penguins.csv").write_text("mine")
    outcome = gstar("demo")
    assert outcome.code == 2
    assert "exists and is another table" in outcome.error
    assert (place / "penguins.csv").read_text() == "mine"


def test_another_folder(gstar, place):
    (place / "there").mkdir()
    assert gstar("demo", "there").code == 0
    assert (place / "there" / "penguins_new.csv").exists()
    assert gstar("demo", "nowhere").code == 4
