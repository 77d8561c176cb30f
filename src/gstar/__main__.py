"""Lets ``python -m gstar`` do what ``gstar`` does."""

import sys

from gstar.cli import main

if __name__ == "__main__":
    sys.exit(main())
