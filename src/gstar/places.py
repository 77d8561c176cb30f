"""Where things are kept.

Everything lies in the platform's folder for a user's data. ``GSTAR_HOME`` moves all of it,
``GSTAR_EXPERIENCE`` the experience alone (a path or a URL).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import platformdirs

from gstar.errors import UsageError, did_you_mean

MODES: Final = ("on", "frozen", "off")
"""What `experience` may be besides a place: read and written; only read; not used at all."""

EXPERIENCE_FILE: Final = "experience.sqlite"


def home(environ: Mapping[str, str] = os.environ) -> Path:
    """Returns the folder where all is kept; it need not exist yet."""
    moved = environ.get("GSTAR_HOME", "")
    return Path(moved).expanduser() if moved else platformdirs.user_data_path("gstar", appauthor=False)


def config_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Returns the user's own settings file; it need not exist."""
    if environ.get("GSTAR_HOME", ""):
        return home(environ) / "config.toml"
    return platformdirs.user_config_path("gstar", appauthor=False) / "config.toml"


def experience_url(environ: Mapping[str, str] = os.environ) -> str:
    """Returns the path or URL of the experience: of ``GSTAR_EXPERIENCE`` if it names one, else the file at home."""
    url = split_experience(environ.get("GSTAR_EXPERIENCE", ""))[0]
    return url if url is not None else str(home(environ) / EXPERIENCE_FILE)


def split_experience(value: str) -> tuple[str | None, str | None]:
    """Splits what a user says of the experience into a place and a mode, one of which is None.

    Args:
        value: ``on``, ``frozen``, ``off``, a path, a URL, or nothing.

    Raises:
        UsageError: If it looks like none of these.

    Example:
        >>> split_experience("off"), split_experience("team.sqlite"), split_experience("")
        ((None, 'off'), ('team.sqlite', None), (None, None))
    """
    if not value:
        return None, None
    if value.lower() in MODES:
        return None, value.lower()
    if not set("/\\.:") & set(value):
        raise UsageError(
            f"Expected {', '.join(MODES)}, a path or a URL for the experience, got {value!r}."
            f"{did_you_mean(value, MODES)} A file here is written ./{value}"
        )
    return value, None
