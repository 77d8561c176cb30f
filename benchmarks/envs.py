"""A virtual environment for each peer, with what the head of its runner asks for.

A runner says what it needs as inline script metadata (PEP 723). gstar itself is installed
from the last commit of this repository, never from the working tree.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
HOME = HERE / "work" / "envs"
PEERS = HERE / "peers"


def names() -> list[str]:
    return sorted(path.stem for path in PEERS.glob("*.py") if path.stem != "common")


def clean_environ() -> dict[str, str]:
    """The environment for peers: byte code is kept, and nothing of ours leaks in."""
    ours = ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "VIRTUAL_ENV")
    return {k: v for k, v in os.environ.items() if k not in ours and not k.startswith(("GSTAR_", "OMP_"))}


def ensure(peer: str) -> Path:
    """Returns the interpreter of a peer's environment, made or renewed if its requirements have changed."""
    folder = HOME / peer
    wanted = _requirements(peer)
    stamp, python = folder / "requirements.json", folder / "bin" / "python"
    if not stamp.exists() or json.loads(stamp.read_text()) != wanted:
        print(f"setting up {folder}: {', '.join(wanted)}", file=sys.stderr)
        environ = clean_environ()
        subprocess.run([sys.executable, "-m", "venv", folder], check=True, env=environ)
        again = ["--force-reinstall", "--no-deps"] if stamp.exists() else []
        subprocess.run([python, "-m", "pip", "install", "-q", *wanted], check=True, env=environ)
        if again:  # same version, newer commit
            subprocess.run([python, "-m", "pip", "install", "-q", *again, *wanted], check=True, env=environ)
        stamp.write_text(json.dumps(wanted))
    return python


def commit() -> str:
    """The commit that gstar is installed from: the last that changed it."""
    command = ["git", "-C", str(HERE), "log", "-1", "--format=%h", "--", "../src", "../pyproject.toml"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _requirements(peer: str) -> list[str]:
    head = re.search(r"(?m)^# /// script$\s(?P<toml>(^#(| .*)$\s)+)^# ///$", (PEERS / f"{peer}.py").read_text())
    if head is None:
        raise SystemExit(f"{peer}.py needs a '# /// script' block with its dependencies.")
    toml = "".join(line[2:] if line.startswith("# ") else line[1:] for line in head["toml"].splitlines(keepends=True))
    wanted: list[str] = tomllib.loads(toml)["dependencies"]
    root = HERE.parent.resolve()
    return [f"{r} @ git+file://localhost{root}@{commit()}" if r.startswith("gstar") else r for r in wanted]
