"""Where things are kept, and what moves them."""

from pathlib import Path

import pytest

from gstar.errors import UsageError
from gstar.places import config_file, experience_url, home, split_experience


def test_all_is_in_the_users_data_folder():
    assert home({}).name == "gstar"
    assert Path(experience_url({})) == home({}) / "experience.sqlite"
    assert config_file({}).name == "config.toml"


def test_home_moves_all(tmp_path):
    environ = {"GSTAR_HOME": str(tmp_path)}
    assert home(environ) == tmp_path
    assert Path(experience_url(environ)) == tmp_path / "experience.sqlite"
    assert config_file(environ) == tmp_path / "config.toml"


def test_home_may_begin_with_a_tilde():
    assert home({"GSTAR_HOME": "~/kept"}) == Path("~/kept").expanduser()


def test_experience_moves_alone(tmp_path):
    environ = {"GSTAR_HOME": str(tmp_path), "GSTAR_EXPERIENCE": "postgresql://team/gstar"}
    assert experience_url(environ) == "postgresql://team/gstar"
    assert home(environ) == tmp_path


@pytest.mark.parametrize("mode", ["on", "off", "frozen", "OFF"])
def test_a_mode_is_no_place(tmp_path, mode):
    environ = {"GSTAR_HOME": str(tmp_path), "GSTAR_EXPERIENCE": mode}
    assert experience_url(environ) == str(tmp_path / "experience.sqlite")
    assert split_experience(mode) == (None, mode.lower())


def test_a_misspelt_mode_is_no_file():
    with pytest.raises(UsageError, match=r"got 'frozn'\. Did you mean 'frozen'\? A file here is written \./frozn"):
        split_experience("frozn")
    assert split_experience("./frozn") == ("./frozn", None)
