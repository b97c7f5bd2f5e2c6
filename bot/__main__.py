"""`omnicare`: the entry point of the installed script and of `python -m bot`."""

import sys

from bot.cli import main as _main


def main() -> None:
    """Ends the process with the command's exit status."""
    sys.exit(_main())


if __name__ == "__main__":
    main()
