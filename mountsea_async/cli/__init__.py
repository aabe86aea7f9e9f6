"""The command line, `mountsea`: the library for people at a terminal, and for shell scripts.

Lives here: reading inputs, showing progress, printing results, exit codes. Nothing of the package imports it. This
module holds the entry point alone, so that a missing extra is told in words.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> int:
    """Runs `mountsea` with the process's arguments. Returns the exit code."""
    try:
        import cyclopts  # noqa: F401, PLC0415 - only asks whether the extra is there
        import rich  # noqa: F401, PLC0415 - as above
    except ModuleNotFoundError as error:
        sys.stderr.write(
            f"mountsea: error: the command line needs the package {error.name!r}: pip install 'mountsea-async[cli]'\n"
        )
        return 2
    from .entry import run  # noqa: PLC0415 - needs the extra

    return run(sys.argv[1:])
