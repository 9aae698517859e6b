"""What becomes of the rejected photos: counted, moved to a folder in the background, and brought back."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from maclip_daemon import errors
from maclip_daemon.files.paths import printable_utf8
from maclip_daemon.library.queries.rejected_photos import CullCandidate
from maclip_daemon.pipeline.commands.culling import cull, cull_folder
from maclip_daemon.pipeline.commands.culling.cull_folder import LONGEST, WatchedFolders
from maclip_daemon.pipeline.commands.culling.rejected_moves import RejectedMoves
from maclip_daemon.web import decision_body
from maclip_daemon.web.background_move import BackgroundMove, MoveProgress


class RejectedPages:
    """The handlers. Those that read folders run in threads.

    A page names no file: only the folder, which is looked at before anything is moved there.
    """

    def __init__(
        self, moves: RejectedMoves, running: BackgroundMove, watched: WatchedFolders, under: tuple[str, ...]
    ) -> None:
        self._moves = moves
        self._running = running
        self._watched = watched
        self._under = under

    def routes(self) -> list[Route]:
        """Return the addresses."""
        return [
            Route("/api/rejected", self.plan),
            Route("/api/rejected/progress", self.progress),
            Route("/api/rejected/move", self.move, methods=["POST"]),
            Route("/api/rejected/back", self.bring_back, methods=["POST"]),
            Route("/api/rejected/stop", self.stop, methods=["POST"]),
        ]

    def plan(self, request: Request) -> Response:
        """Return how much would move where, and the folders that hold photos already."""
        self._moves.wait_until_finished()
        typed = request.query_params.get("folder")
        shots = self._moves.shots(self._under)
        kept = [{"folder": printable_utf8(folder), "files": count} for folder, count in self._moves.folders()]
        if typed is None and not shots:
            return JSONResponse({"photos": 0, "kept": kept})
        folder = Path(self._default(shots)) if typed is None else self._fit(typed)
        files, sizes = _files(shots)
        is_same_disk = all(cull_folder.is_same_disk(each, folder) for each in {file.parent for file in files})
        return JSONResponse(
            {
                "photos": len(shots),
                "files": len(files),
                "bytes": sizes,
                "folder": printable_utf8(folder),
                "same_disk": is_same_disk,
                "is_new": not folder.exists(),
                "kept": kept,
            }
        )

    def progress(self, _request: Request) -> Response:
        """Return how far the move is that runs, or ran last; null without one."""
        progress = self._running.progress
        return JSONResponse(None if progress is None else dataclasses.asdict(progress))

    async def move(self, request: Request) -> Response:
        """Begin to move the rejected photos to a folder."""
        typed = decision_body.text(await decision_body.of(request), LONGEST)
        return await run_in_threadpool(self._move, typed)

    async def bring_back(self, request: Request) -> Response:
        """Begin to bring back what was moved to one of the folders that `plan` names."""
        named = decision_body.text(await decision_body.of(request), LONGEST)
        return await run_in_threadpool(self._bring_back, named)

    def stop(self, request: Request) -> Response:
        """End the move that runs, after the photo that is at work."""
        self._running.stop()
        return self.progress(request)

    def _move(self, typed: str) -> Response:
        folder = self._fit(typed)
        shots = self._moves.shots(self._under)
        if not shots:
            raise errors.UsageError("No photo is rejected.")
        cull_folder.require_space(folder, _files(shots)[0])
        return self._started(
            MoveProgress("move", printable_utf8(folder), len(shots)), self._moves.move(shots, folder)
        )

    def _bring_back(self, named: str) -> Response:
        for folder, count in self._moves.folders():
            if printable_utf8(folder) == named:
                return self._started(MoveProgress("back", named, count), self._moves.bring_back(folder))
        raise errors.UsageError("No photo was moved to this folder, or its drive is not there.")

    def _started(self, progress: MoveProgress, shots: Any) -> Response:
        self._running.start(progress, shots)
        return JSONResponse(dataclasses.asdict(progress))

    def _fit(self, typed: str) -> Path:
        return cull_folder.require_fit(typed, self._watched)

    def _default(self, shots: Sequence[Sequence[CullCandidate]]) -> str:
        """Return the folder of last time while it is fit, else one beside the photos."""
        for folder, _ in self._moves.folders():
            try:
                return str(self._fit(printable_utf8(folder)))
            except errors.UsageError:
                continue
        return cull_folder.default_for(self._watched.roots, shots[0][0].path)


def _files(shots: Sequence[Sequence[CullCandidate]]) -> tuple[list[Path], int]:
    """Return the files of these shots that are there, with their sidecars, and their bytes."""
    photos = [Path(each.path) for shot in shots for each in shot]
    files: list[Path] = []
    sizes = 0
    for shot in cull.with_sidecars([photo for photo in photos if photo.parent.is_dir()]):
        for file in shot:
            try:
                sizes += file.stat().st_size
            except OSError:
                continue
            files.append(file)
    return files, sizes
