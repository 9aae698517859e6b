"""The program `maclip`: run a command; print an error as one line and end with its exit code."""

from __future__ import annotations

import codecs
import gc
import os
import sys
from pathlib import Path
from typing import NoReturn

from maclip_daemon.errors import MaclipError

_NO_HOME = "/nonexistent"  # as Debian writes it for accounts without one
_PLAIN = {"★": "*", "–": "-", "…": "...", "·": "|", "█": "#", "→": "->", "×": "x", "\N{NO-BREAK SPACE}": " "}
# Objects between two searches for circles. Loading a command makes half a million, hardly one in a circle;
# after every 700, as Python begins, the search takes a seventh of the start.
_SEARCH_AFTER = 20_000
_INTERRUPTED = 130  # the shell's convention for a program ended by Ctrl-C


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 some photos failed, 2 wrong use, 3 environment not fit."""
    gc.set_threshold(_SEARCH_AFTER)
    # No package brings code into this one; to look for such packages takes 30 ms of each start.
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
    from maclip_daemon.cli.program import assembled

    codecs.register_error("maclip", _encode_otherwise)
    for stream in (sys.stdout, sys.stderr):
        # A pipe gets each line when it is written: the link of the review page, a score, a remark.
        stream.reconfigure(errors="maclip", line_buffering=True)  # type: ignore[union-attr]
    try:
        Path.home()
    except RuntimeError:  # neither HOME nor an entry in passwd: --config and --data-dir do without
        os.environ["HOME"] = _NO_HOME
    try:
        try:
            assembled(sys.argv[1:])()
        finally:
            sys.stdout.flush()  # here, where a closed pipe is still handled
            gc.freeze()  # the process ends: to look through all it made once more took a fifth of a command
    except MaclipError as error:
        _report(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except BrokenPipeError as error:
        _end_quietly(error.__context__)
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):
            _end_quietly(end)
        raise


def _report(error: str) -> None:
    """Print an error as one line; the journal of systemd gets it as an error, without our name."""
    from maclip_daemon.daemon import journal

    if journal.is_connected(sys.stderr):
        print(journal.with_priority(error, "error"), file=sys.stderr)
    else:
        print(f"maclip: {error}", file=sys.stderr)


def _encode_otherwise(error: UnicodeError) -> tuple[str | bytes, int]:
    """Print the bytes of a name that is not valid UTF-8 as they are; replace what a terminal lacks.

    Our own signs have plain ones in their place; a letter of a name is escaped.
    """
    assert isinstance(error, UnicodeEncodeError)
    character = error.object[error.start]
    if plain := _PLAIN.get(character):
        return plain, error.start + 1
    is_byte = "\udc80" <= character <= "\udcff"
    shown = os.fsencode(character) if is_byte else character.encode("ascii", "backslashreplace")
    return shown, error.start + 1


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
