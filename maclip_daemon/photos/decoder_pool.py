"""Several decoder processes for whoever decodes photos by name: `maclip score`, `maclip eval`, `Scorer`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Self

from maclip_daemon.photos import spool
from maclip_daemon.photos.decoder import DecodedPhoto, Decoder
from maclip_daemon.settings import DecodingSettings


class DecoderPool:
    """Decodes photos in up to `count` processes, which start with the first photos. A context manager."""

    def __init__(self, settings: DecodingSettings, count: int, roots: Sequence[Path] = ()) -> None:
        """Make a spool folder of its own, which `close` removes. Raises `NoSpace`, `EnvironmentUnfit`.

        `roots`: as for `Decoder`.
        """
        self._settings = settings
        self._roots = roots
        self._folder = tempfile.TemporaryDirectory(prefix="maclip-spool-")
        self._spool = Path(self._folder.name)
        spool.clean(self._spool)
        self._threads = ThreadPoolExecutor(count, "decode")
        self._idle: dict[str, list[Decoder]] = {}  # by protocol; the last one used is used again
        self._decoders: list[Decoder] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def submit(self, path: Path, protocol: str, *, follow_link: bool = False) -> Future[DecodedPhoto]:
        """Queue a photo; return its future, which raises what `Decoder.decode` raises.

        `protocol`: a name that `iqa.protocols.parse` knows. `follow_link`: as for `Decoder.decode`.
        """
        return self._threads.submit(self._decode, path, protocol, follow_link)

    def close(self) -> None:
        """Cancel what is queued, end the processes, and remove the spool."""
        self._threads.shutdown(cancel_futures=True)
        for decoder in self._decoders:
            decoder.close()
        self._folder.cleanup()

    def _decode(self, path: Path, protocol: str, follow_link: bool) -> DecodedPhoto:
        idle = self._idle.setdefault(protocol, [])
        try:
            decoder = idle.pop()
        except IndexError:
            decoder = Decoder(self._settings, protocol, self._spool, roots=self._roots)
            self._decoders.append(decoder)
        try:
            return decoder.decode(path, follow_link=follow_link)
        finally:
            idle.append(decoder)


def default_count(settings: DecodingSettings) -> int:
    """Return `decoding.workers`, or a process a core but at most four: they start for a few photos."""
    return settings.workers or min(4, os.cpu_count() or 1)
