"""What can go wrong, by name.

The text of every error is one sentence or two for the person at the keyboard: what happened, to which
file, and what to do next. The class says what the program does about it.
"""

from __future__ import annotations


class MaclipError(Exception):
    """The root of every error this program raises on purpose."""

    exit_code = 3


class UsageError(MaclipError):
    """The command cannot be carried out as it was typed."""

    exit_code = 2


class ConfigurationError(UsageError):
    """A setting is unknown or has a value that cannot be used."""


class EnvironmentUnfit(MaclipError):
    """Something on this machine must be mended first: a folder, a lock, the database, a package."""


class AlreadyRunning(EnvironmentUnfit):
    """Another daemon holds the lock of this data folder."""


class DatabaseUnfit(EnvironmentUnfit):
    """The library database is corrupt, from a newer version, or cannot be opened."""


class ModelUnavailable(EnvironmentUnfit):
    """The model's weights are not on this machine, or are not what they should be."""


class RootOffline(EnvironmentUnfit):
    """A watched folder is gone, unmounted or suddenly empty; its photos wait, nothing is forgotten."""


class Transient(MaclipError):
    """The work may succeed later by itself: it is tried again, with growing pauses."""


class FileChanged(Transient):
    """A file changed while it was being worked on; the work starts again with the new content."""


class NoSpace(Transient):
    """The disk is full. Work pauses and no attempt is counted."""


class ReadOnly(NoSpace):
    """The disk is mounted read-only. As on a full one, work pauses and no attempt is counted."""


class NoAnswer(Transient):
    """A server does not answer. Its photos wait; no attempt is counted."""


class ChildDied(Transient):
    """A child process ended in the middle of its work."""


class ChildTimedOut(Transient):
    """A child process took longer than its limit and was stopped."""


class Poison(MaclipError):
    """This photo can never be processed as it is: it fails at once and is not tried again by itself."""

    exit_code = 1


class WriteRefused(MaclipError):
    """Writing here could lose something, or is not permitted; the text becomes the reason in `status`."""

    exit_code = 0


def may_be_the_disks_fault(error: MaclipError) -> bool:
    """Whether a disk or a share in trouble explains this failure; a child that died died of the photo."""
    return isinstance(error, Transient) and not isinstance(error, ChildDied)
