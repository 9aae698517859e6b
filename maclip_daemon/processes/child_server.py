"""The child's side of a child process: it answers requests until the parent closes the pipe.

`child` is the parent's side; `frames` has the messages.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable
from typing import NoReturn

from maclip_daemon import errors
from maclip_daemon.processes.frames import Header, Reply, read_frame, write_frame

Handler = Callable[[Header, bytes], tuple[Header, bytes]]


def serve(handler: Handler) -> NoReturn:
    """Answer requests until the parent closes the pipe, then end at once.

    A thread reads the pipe, so that a busy child also ends with its parent. What native libraries print goes
    to standard error, never between the frames.
    """
    requests_in = os.fdopen(os.dup(0), "rb")
    replies_out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    incoming: queue.SimpleQueue[Reply] = queue.SimpleQueue()

    def read_requests() -> None:
        while (frame := read_frame(requests_in)) is not None:
            incoming.put(frame)
        os._exit(0)

    threading.Thread(target=read_requests, name="requests", daemon=True).start()
    write_frame(replies_out, {"ready": True})
    while True:
        request = incoming.get()
        try:
            header, payload = handler(request.header, request.payload)
        except errors.MaclipError as error:
            header, payload = {"error": {"kind": type(error).__name__, "message": str(error)}}, b""
        except MemoryError:
            header, payload = (
                {"error": {"kind": "Poison", "message": "it needs more memory than the limit"}},
                b"",
            )
        except Exception as error:  # noqa: BLE001 - the process boundary: it becomes a failed job
            traceback.print_exc()
            message = f"{type(error).__name__}: {error}"
            header, payload = {"error": {"kind": "Transient", "message": message}}, b""
        write_frame(replies_out, header, payload)


def configuration() -> Header:
    """Return the configuration that the parent passed at the start."""
    parsed: Header = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
    return parsed
