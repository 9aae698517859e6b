"""The exceptions of this program.

The text of each is for the user: what happened, to which file, and what to do next. The class decides what
the program does about it.
"""

from __future__ import annotations


class MaclipError(Exception):
    """The base class of every error that this program raises on purpose."""

    exit_code = 3
    failure = "other"
    """A few words by which failures of photos can be counted, in `photo_failures.kind`."""


class UsageError(MaclipError):
    """The command is wrong as it was typed."""

    exit_code = 2


class ConfigurationError(UsageError):
    """A setting is unknown or has an invalid value."""


class EnvironmentUnfit(MaclipError):
    """The user must first repair something on this machine: a folder, the database, a package."""


class AlreadyRunning(EnvironmentUnfit):
    """Another daemon has locked this data folder."""


class DatabaseUnfit(EnvironmentUnfit):
    """The library database is corrupt, from a newer version, or cannot be opened."""


class ModelUnavailable(EnvironmentUnfit):
    """The model's weights are missing or damaged."""


class RootOffline(EnvironmentUnfit):
    """A watched folder is gone, unmounted or suddenly empty. Its photos wait and their scores stay."""


class ProgramReplaced(MaclipError):
    """The program was updated while it ran. A service manager starts the new version at once."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h: try again


class Transient(MaclipError):
    """The work may succeed later. It is tried again, with growing pauses."""

    failure = "cannot be read or written now"


class FileChanged(Transient):
    """A file changed during the work. The work starts again with the new content."""

    failure = "still being written"


class NoSpace(Transient):
    """The disk is full. Work pauses; no attempt counts."""

    failure = "disk full"


class ReadOnly(NoSpace):
    """The disk is mounted read-only. Work pauses; no attempt counts."""


class NoAnswer(Transient):
    """A file server does not respond. Its photos wait; no attempt counts."""

    failure = "file server does not respond"


class ChildDied(Transient):
    """A child process ended during its work."""

    failure = "crashes its reader"


class ChildTimedOut(Transient):
    """A child process exceeded its time limit and was killed."""

    failure = "takes too long"


class OutsideSandbox(Transient):
    """A child process may not open a folder. It is started again, with that folder allowed."""


class Poison(MaclipError):
    """The photo cannot be processed as it is. It fails at once and is not tried again until it changes."""

    exit_code = 1
    failure = "damaged, or no photo"


class PhotoMissing(Poison):
    """A photo that a list names is not there."""

    failure = "missing"


class NoPermission(Poison):
    """A photo may not be read with the rights of this account."""

    failure = "no permission"


class WriteRefused(MaclipError):
    """Writing could lose data, or is not permitted. `maclip status` shows the text as the reason."""

    exit_code = 0


def may_be_the_disks_fault(error: MaclipError) -> bool:
    """Tell whether a failing disk or share may have caused this; a child that died, died of the photo."""
    return isinstance(error, Transient) and not isinstance(error, ChildDied)
