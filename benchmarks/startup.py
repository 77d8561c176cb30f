"""How long `import gstar` and the smallest commands take, in fresh interpreters.

    python benchmarks/startup.py

Prints the median and the best of several runs; the targets are 0.3 s for the import and
0.5 s for the help.
"""

import statistics
import subprocess
import sys
import time

RUNS = 9
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import gstar": ["-c", "import gstar"],
    "gstar --help": ["-m", "gstar", "--help"],
    "gstar fit --help": ["-m", "gstar", "fit", "--help"],
    "gstar --version": ["-m", "gstar", "--version"],
    "gstar config show": ["-m", "gstar", "config", "show"],
    "gstar doctor": ["-m", "gstar", "doctor"],
}


def seconds(arguments: list[str]) -> list[float]:
    """Returns the wall-clock seconds of each run, the first one (cold) left out."""
    found = []
    for _ in range(RUNS + 1):
        begin = time.perf_counter()
        subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
        found.append(time.perf_counter() - begin)
    return found[1:]


if __name__ == "__main__":
    print(f"{'command':<20}{'median s':>10}{'best s':>10}")
    for name, arguments in COMMANDS.items():
        runs = seconds(arguments)
        print(f"{name:<20}{statistics.median(runs):>10.3f}{min(runs):>10.3f}")
