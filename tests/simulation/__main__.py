"""Runs worlds by hand: `python -m tests.simulation --seeds 2000`, `--seed 17`, `--sweep`."""

from __future__ import annotations

import sys

from .command import main

sys.exit(main(sys.argv[1:]))
