"""The program `maclip`: run a command; print an error as one line and end with its exit code."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from maclip_daemon.errors import MaclipError

_INTERRUPTED = 130  # the shell's convention for a program ended by Ctrl-C


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 some photos failed, 2 wrong use, 3 environment not fit."""
    from maclip_daemon.cli import app

    for stream in (sys.stdout, sys.stderr):
        # A file name need not be valid UTF-8; it is printed byte for byte.
        stream.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]
    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # here, where a closed pipe is still handled
    except MaclipError as error:
        print(f"maclip: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except BrokenPipeError as error:
        _end_quietly(error.__context__)
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):
            _end_quietly(end)
        raise


def _end_quietly(end: BaseException | None) -> NoReturn:
    """Exit without an error after a reader (`maclip worst | head -1`) closed the pipe.

    `end`: how the command ended. click turns a broken pipe into exit code 1, which here means failed photos.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(end, SystemExit) and not isinstance(end.__context__, BrokenPipeError):
        sys.exit(end.code)
    sys.exit(0)


if __name__ == "__main__":
    main()
