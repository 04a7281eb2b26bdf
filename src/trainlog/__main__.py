"""``python -m trainlog``, and the program ``trainlog``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run `trainlog.cli.main`; Ctrl-C during its import does not show a traceback either."""
    try:
        from trainlog import cli

        cli.main()
    except KeyboardInterrupt:
        if sys.stderr is not None:
            sys.stderr.write("trainlog: stopped\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
