"""Let the n-th file operation of an action fail, n = 1, 2, 3 …, as SQLite's own tests do. Run as a program.

    LD_PRELOAD=nth_call.so NTH_UNDER=FOLDER python -m tests.faults.nth_failure FOLDER STRIDE ERRNO…

Prints one JSON document: how many operations failed, by action, and what was wrong afterwards.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from maclip_daemon.errors import MaclipError, Transient
from maclip_daemon.files import temporaries
from maclip_daemon.library.queue import rating_queue
from maclip_daemon.library.restore import restore_database
from maclip_daemon.pipeline import recovery
from maclip_daemon.pipeline.commands import undo_ratings
from maclip_daemon.pipeline.commands.check_files import FileCheck
from maclip_daemon.pipeline.commands.rating_comparison import Rules
from maclip_daemon.processes.child import Reply
from maclip_daemon.processes.frames import Header
from maclip_daemon.settings import JobSettings
from tests.faults import one_photo, random_walks
from tests.rated_library import FakeRoots

FOREIGN = (
    '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/" dc:format="image/jpeg"/></rdf:RDF></x:xmpmeta>'
    '<?xpacket end="w"?>'
)
REMOVING = {
    "open",
    "opendir",
    "fdopendir",
    "lstat64",
    "fstatat64",
    "unlink",
    "unlinkat",
}  # of a temporary file
LAST = 5000  # no action has so many operations


class ServedWriter(one_photo.DirectWriter):
    """The metadata process in this one, with the errors that its parent would get."""

    def _request(
        self, header: Header, files: Sequence[Path], payload: bytes = b"", *, timeout_s: float | None = None
    ) -> Reply:
        try:
            return super()._request(header, files, payload)
        except OSError as error:  # as `child_server.serve` does
            raise Transient(f"{type(error).__name__}: {error}") from None


class FailingMachine(one_photo.OnePhoto):
    """One photo, and what maclip does to it while an operation fails."""

    def __init__(self) -> None:
        super().__init__()
        self._writer = ServedWriter()
        self.was = self.files()

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.root.iterdir()}

    def add_sidecar(self) -> None:
        (self.root / "IMG.jpg.xmp").write_text(FOREIGN)
        self.touch(self.root / "IMG.jpg.xmp")
        self.was = self.files()

    def embed(self) -> None:
        self.settings = self.settings.model_copy(update={"mode": "embed"})

    def rate_with_five(self) -> None:
        self.rate(5)

    def take_back(self) -> None:
        """Do what `maclip undo` does."""
        chosen = undo_ratings.targets(self._library)
        for result in undo_ratings.undo(self._library, self._writer, self._state.probe, chosen, self.now()):
            if not result.is_done:
                raise Transient(result.sentence())

    def be_killed(self) -> None:
        """Leave what a killed run leaves: an unconfirmed write and a temporary file."""
        self.run()
        with self._library.writing() as session:
            session.execute(one_photo.scores.text("update rating_journal set state = 'intended'"))
            session.execute(
                one_photo.scores.text("update photos set rating_owner = 'none', stars_written = null")
            )
        stray = temporaries.new_path(self.root)
        stray.write_bytes(b"half")
        self.touch(stray)
        self.time_passes()

    def remove_temporaries(self) -> None:
        for path in self.root.iterdir():
            if temporaries.is_temporary(path.name):
                path.unlink()

    def recover(self) -> None:
        spool = self._path.parent / "spool"
        recovery.recover(self._library, self._state.probe, spool, self.now())

    def prepare_to_restore(self) -> None:
        self.back_up()
        self.run()

    def back_up_somewhere(self) -> None:
        self._library.backup(self._path.with_name("copy.db"))

    def restore_backup(self) -> None:
        self._library.close()
        with restore_database.restoring(self._path, self._backup) as ready:
            ready.take_place(datetime.fromtimestamp(self.now()))

    def reopen(self) -> None:
        self._library.close()
        self._open()

    def start_again(self) -> None:
        """Do what the next start of the daemon does, with nothing that fails."""
        self._library.close()
        if not self._path.exists():
            raise AssertionError("the library is gone")
        self._open()
        self._writer = ServedWriter()
        self.time_passes()
        self.recover()
        with self._library.writing() as session:  # photos whose files could not be read or written
            rating_queue.enqueue(session, self.now())

    def rating(self) -> tuple[str, int | None]:
        """Return whose rating the library has, and which."""
        with self._library.reading() as session:
            return tuple(
                session.execute(
                    one_photo.scores.text("select rating_owner, rating_in_file from photos")
                ).one()
            )

    def wrong(self) -> Iterator[str]:
        """Yield what a check of all files finds, and what was left behind."""
        check = FileCheck(
            self._library, self._writer, self._state.probe, Rules(True, False), is_running=False
        )
        yield from (each.what for each in check.run(None).disagreements)
        yield from (name for name in self.files() if temporaries.is_temporary(name))
        yield from (
            f"{path.name} is left in the data folder"
            for path in self._path.parent.iterdir()
            if path.name.endswith((".partial", ".room"))
        )

    def _write_stars(self) -> None:
        rate_jobs = one_photo.RateJobs(self._library, self._state, JobSettings(), "walk", FakeRoots())
        stage = one_photo.RatingStage(rate_jobs, self._state, self.settings, self._writer)
        while stage.work():
            pass


Act = Callable[[FailingMachine], None]


def nothing(_: FailingMachine) -> None:
    """Prepare nothing."""


def embedded(machine: FailingMachine) -> None:
    machine.embed()
    machine.run()


ACTIONS: dict[str, tuple[Act, Act]] = {
    "find, score and rate": (nothing, FailingMachine.run),
    "update a sidecar": (FailingMachine.add_sidecar, FailingMachine.run),
    "embed": (FailingMachine.embed, FailingMachine.run),
    "other stars": (FailingMachine.run, FailingMachine.rate_with_five),
    "undo": (FailingMachine.run, FailingMachine.take_back),
    "undo of an embedded rating": (embedded, FailingMachine.take_back),
    "recover": (FailingMachine.be_killed, FailingMachine.recover),
    "open the library": (FailingMachine.run, FailingMachine.reopen),
    "back up": (FailingMachine.run, FailingMachine.back_up_somewhere),
    "restore": (FailingMachine.prepare_to_restore, FailingMachine.restore_backup),
}


def main() -> None:
    """Try every action with every error."""
    folder, stride = Path(sys.argv[1]), int(sys.argv[2])
    one_photo.TEMPORARY = random_walks.TEMPORARY = str(folder)
    random_walks.empty_library()
    counts: Counter[str] = Counter()
    found: list[str] = []
    for number in map(int, sys.argv[3:]):
        for name in ACTIONS:
            for nth in range(1 + number % stride, LAST, stride):
                said = _try(name, nth, number, found)
                if said is None:
                    break
                counts[name] += 1
    print(json.dumps({"failed": counts, "wrong": found}))


def _try(name: str, nth: int, number: int, found: list[str]) -> str | None:
    """Return which operation failed; None: the action has no so many. Add what is wrong afterwards."""
    calls = ctypes.CDLL(None)
    calls.nth_failed.restype = ctypes.c_char_p
    prepare, act = ACTIONS[name]
    with contextlib.closing(FailingMachine()) as machine:
        prepare(machine)
        outcome = "done"
        calls.nth_arm(nth, number)
        try:
            act(machine)
        except MaclipError as error:
            outcome = type(error).__name__
        except Exception as error:  # noqa: BLE001 - the daemon restarts after it; nothing may be lost
            outcome = f"{type(error).__name__}: {error}"
        calls.nth_disarm()
        failed = os.fsdecode(calls.nth_failed())
        where = f"{name}, {os.strerror(number)} of call {nth} ({failed}), {outcome}"
        try:
            found += [f"{where}: {what}" for what in _afterwards(name, machine, failed)] if failed else []
        except Exception as error:  # noqa: BLE001 - reported with what led to it
            found.append(f"{where}: the next run: {type(error).__name__}: {error}")
    return failed or None


def _afterwards(name: str, machine: FailingMachine, failed: str) -> Iterator[str]:
    machine.start_again()
    if name == "recover" and failed.split()[0] in REMOVING:
        # Nothing looks there again; `db check --sidecars` names what stays, with the command that removes it.
        machine.remove_temporaries()
    if not name.startswith("undo"):
        if name == "other stars":
            machine.rate_with_five()  # the person types it again
        machine.run()
        machine.time_passes()
        machine.run()
        owner, rating = machine.rating()
        if (owner, rating) != ("maclip", machine.stars):
            yield f"the library has {rating} stars of {owner}"
        yield from machine.wrong()
    machine.take_back()
    machine.run()  # undone photos stay without stars
    yield from machine.wrong()
    if machine.files() != machine.was:
        yield f"undo left other files: {sorted(machine.files())}"


if __name__ == "__main__":
    main()
