"""Precedence of settings, and how their values are written."""

import pytest

from gstar.errors import UsageError
from gstar.settings import SETTINGS, read_duration_s, read_room_mb, read_size_mb, settle


@pytest.fixture
def place(tmp_path):
    """A working folder and an environment whose user file is in ``kept``."""
    (tmp_path / "kept").mkdir()
    return tmp_path, {"GSTAR_HOME": str(tmp_path / "kept")}


def test_defaults(place):
    folder, environ = place
    settings = settle(environ=environ, folder=folder)
    assert (settings.budget_s, settings.trials, settings["policy"]) == (60.0, None, "gaussian")
    assert settings.mode == "on"
    assert settings.experience == str(folder / "kept" / "experience.sqlite")
    assert {value.origin for value in settings.values.values()} == {"default"}


def test_each_layer_beats_the_next(place):
    folder, environ = place

    def seed(flags=None):
        value = settle(flags, environ=environ, folder=folder).values["seed"]
        return value.value, value.origin

    user = folder / "kept" / "config.toml"
    user.write_text("seed = 1")
    assert seed() == (1, str(user))
    (folder / "pyproject.toml").write_text("[tool.gstar]\nseed = 2")
    assert seed() == (2, str(folder / "pyproject.toml"))
    (folder / "gstar.toml").write_text("seed = 3")
    assert seed() == (3, str(folder / "gstar.toml"))
    environ["GSTAR_SEED"] = "4"
    assert seed() == (4, "GSTAR_SEED")
    assert seed({"seed": 5}) == (5, "--seed")
    assert seed({"seed": None}) == (4, "GSTAR_SEED")
    environ["GSTAR_SEED"] = ""
    assert seed() == (3, str(folder / "gstar.toml"))


def test_of_time_and_trials_the_closer_one_counts(place):
    folder, environ = place

    def budget(**flags):
        settings = settle(flags, environ=environ, folder=folder)
        return settings.budget_s, settings.trials

    assert budget(trials=5) == (None, 5)
    environ["GSTAR_TRIALS"] = "7"
    assert budget() == (None, 7)
    assert budget(budget="5s") == (5.0, None)
    assert budget(budget="5s", trials=3) == (5.0, 3)


def test_values_of_files(place):
    folder, environ = place
    (folder / "gstar.toml").write_text(
        'budget = "5m"\nlearners = ["linear", "lightgbm"]\nmemory = "2GiB"\nexperience = "off"\nworkers = 0\n'
    )
    settings = settle(environ=environ, folder=folder)
    assert settings.budget_s == 300
    assert settings["learners"] == ("linear", "lightgbm")
    assert settings["memory"] == 2048
    assert settings["workers"] == 0
    assert settings.mode == "off"


def test_mode_and_place_of_the_experience_may_come_from_different_places(place):
    folder, environ = place
    (folder / "gstar.toml").write_text('experience = "./team.sqlite"')
    settings = settle({"experience": "frozen"}, environ=environ, folder=folder)
    assert (settings.experience, settings.mode) == ("./team.sqlite", "frozen")
    environ["GSTAR_EXPERIENCE"] = "postgresql://x/y"
    settings = settle(environ=environ, folder=folder)
    assert (settings.experience, settings.mode) == ("postgresql://x/y", "on")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('bugdet = "5m"', r"No setting 'bugdet' in .*gstar\.toml; .* Did you mean 'budget'\?"),
        ("budget = ", r"Settings in .*gstar\.toml are no TOML"),
        ('budget = "soon"', r"gstar\.toml: Expected a duration such as 60s, 5m or 1h30m, got 'soon'"),
        ("memory = 4", r"gstar\.toml: Expected a size with its unit such as 4GiB or 512MiB, got '4'"),
        ("seed = -1", r"gstar\.toml: Expected a whole number, 0 or more, got '-1'"),
        ("trials = 0", r"Expected a whole number, 1 or more, got '0'"),
        ("trials = true", r"Expected a whole number, 1 or more, got 'True'"),
        ("learners = [1]", r"Expected names separated by commas, got \[1\]"),
        ('policy = ""', r"Expected a name, got ''"),
        ('experience = "offf"', r"Did you mean 'off'\?"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(place, content, message):
    folder, environ = place
    (folder / "gstar.toml").write_text(content)
    with pytest.raises(UsageError, match=message):
        settle(environ=environ, folder=folder)


def test_a_table_of_another_type_is_refused(place):
    folder, environ = place
    (folder / "pyproject.toml").write_text("[tool]\ngstar = 3")
    with pytest.raises(UsageError, match=r"Expected a table \[tool\.gstar\] in .*, got 3"):
        settle(environ=environ, folder=folder)
    (folder / "pyproject.toml").write_text("tool = 3")
    assert settle(environ=environ, folder=folder)["seed"] == 0


def test_a_settings_file_that_is_a_folder(place):
    folder, environ = place
    (folder / "gstar.toml").mkdir()
    with pytest.raises(UsageError, match="cannot be read"):
        settle(environ=environ, folder=folder)


def test_a_misspelt_variable_is_said_and_an_unrelated_one_is_not(place):
    folder, environ = place
    settle(environ=environ | {"GSTAR_SOMEWHERE_ELSE": "1", "GSTAR_SHIPPED": "off"}, folder=folder)
    with pytest.raises(UsageError, match=r"No setting 'GSTAR_BUGDET' .* Did you mean 'GSTAR_BUDGET'\?"):
        settle(environ=environ | {"GSTAR_BUGDET": "5m"}, folder=folder)


@pytest.mark.parametrize(("text", "seconds"), [("60s", 60), ("5m", 300), ("1h30m", 5400), ("90", 90), ("2min", 120)])
def test_durations(text, seconds):
    assert read_duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "5 m", "-3s", "0s", "5x", "1e3", "m5", "nan", "inf", "5ms"])
def test_no_durations(text):
    with pytest.raises(UsageError, match="Expected a duration such as"):
        read_duration_s(text)


@pytest.mark.parametrize(("text", "mb"), [("1GiB", 1024), ("512 MiB", 512), ("1GB", 1e9 / 2**20), ("2g", 2048)])
def test_sizes(text, mb):
    assert read_size_mb(text) == pytest.approx(mb)


@pytest.mark.parametrize("text", ["4", "GiB", "-1GiB", "0M", "4 bananas"])
def test_no_sizes(text):
    with pytest.raises(UsageError, match="Expected a size with its unit"):
        read_size_mb(text)


def test_each_setting_says_what_it_means():
    assert all(setting.meaning for setting in SETTINGS.values())


@pytest.mark.parametrize(("text", "mb"), [("off", 0), ("ON", 500), (False, 0), ("200MiB", 200), ("2 GiB", 2048)])
def test_room_for_weights(text, mb):
    assert read_room_mb(text) == mb


@pytest.mark.parametrize("text", ["", "yes", "5", "-1MiB", "none"])
def test_no_room(text):
    with pytest.raises(UsageError, match="off, on or a size"):
        read_room_mb(text)
