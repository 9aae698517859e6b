"""The decoder's process: reads hostile files under limits of memory and processor time."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from maclip_daemon.processes import child_server
from maclip_daemon.processes.frames import Header

_resource: ModuleType | None
try:
    import resource as _resource
except ImportError:  # Windows has no such limits; the time limit of the parent remains
    _resource = None

_MALLOC_ARENAS = -8  # M_ARENA_MAX of glibc's mallopt(3)


def main() -> None:
    """Serve `{"path", "name", "spool_path", "former_hash"}`, with the configuration of `decoder.Decoder`."""
    configuration = child_server.configuration()
    limit_memory(configuration["memory_mb"])
    # Imported under the limits, and after the thread counts are set: libraries read those when they load.
    from maclip_daemon.iqa import protocols
    from maclip_daemon.photos import decoding, regular_file, spool
    from maclip_daemon.photos.picture_identity import strips

    protocol = protocols.parse(configuration["protocol"])

    def handle(header: Header, _payload: bytes) -> tuple[Header, bytes]:
        limit_processor_time(configuration["timeout_s"])
        with regular_file.opened(header["path"]) as file:
            decoded = decoding.decode(
                file,
                header["name"],
                protocol,
                max_megapixels=configuration["max_megapixels"],
                exif_rotation=configuration["exif_rotation"],
                two_steps=configuration["two_steps"],
                former_hash=header["former_hash"],
            )
        image = decoded.image
        answer: dict[str, Any] = {
            "width": image.width,
            "height": image.height,
            "photo_width": decoded.photo_width,
            "photo_height": decoded.photo_height,
            "pixel_hash": decoded.pixel_hash,
            "former_hash": decoded.former_hash,
            "taken_at": decoded.taken_at.isoformat() if decoded.taken_at else None,
        }
        if image.width * image.height * 3 <= spool.LARGEST_IN_PIPE:
            return {**answer, "spooled": False}, image.tobytes()
        spool.write(Path(header["spool_path"]), strips(image))
        return {**answer, "spooled": True}, b""

    child_server.serve(handle)


def limit_memory(memory_mb: int) -> None:
    """Limit the address space, and the threads, each of which reserves some of it whether used or not."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "2")
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # not glibc
            ctypes.CDLL(None).mallopt(_MALLOC_ARENAS, 2)
    if _resource is not None:
        _set_soft_limit(_resource.RLIMIT_AS, memory_mb << 20)
        _set_soft_limit(_resource.RLIMIT_CORE, 0)


def limit_processor_time(timeout_s: float) -> None:
    """Let this photo use twice its time on two cores: a backstop for a parent that is gone or stopped."""
    if _resource is not None:
        usage = _resource.getrusage(_resource.RUSAGE_SELF)
        used = usage.ru_utime + usage.ru_stime
        _set_soft_limit(_resource.RLIMIT_CPU, math.ceil(used + 4 * timeout_s) + 1)


def _set_soft_limit(kind: int, value: int) -> None:
    assert _resource is not None
    _, hard = _resource.getrlimit(kind)
    if hard != _resource.RLIM_INFINITY:
        value = min(value, hard)
    with contextlib.suppress(OSError, ValueError):  # a system that knows the limit but not this value
        _resource.setrlimit(kind, (value, hard))


if __name__ == "__main__":
    main()
