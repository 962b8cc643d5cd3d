"""`python -m pointillist` is the command `pointillist`."""

import sys


def main() -> None:
    """Run the command line; on Ctrl-C, end with exit status 130 and without a traceback."""
    try:
        from pointillist.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
