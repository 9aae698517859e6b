"""Test fixtures with a real daemon: a temporary home folder, synthetic photos, the process."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from maclip_daemon.library.results.calibration import GROWTH

TIMEOUT_S = 120  # generous, for a loaded two-core machine; no test measures time with it


def until(condition: Callable[[], Any], what: str, timeout_s: float = TIMEOUT_S) -> Any:
    """Wait until a condition is true and return its value; fail the test after the time-out."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(0.05)
    pytest.fail(f"timed out after {timeout_s:g} s waiting for: {what}")


class Home:
    """A temporary home folder with photos, in which tests run the program."""

    def __init__(self, folder: Path, checkpoint: Path) -> None:
        self.folder = folder
        self.photos = folder / "Pictures"
        self.photos.mkdir()
        self.data = folder / "data"
        self.model = f"file:{checkpoint}"
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("MACLIP_", "XDG_"))},
            "HOME": str(folder),
            "MACLIP_DATA_DIR": str(self.data),
            "MACLIP_SCORING__MODEL": self.model,
            "MACLIP_FOLDERS__SETTLE_S": "0.3",
            "MACLIP_JOBS__RETRY_BASE_S": "0.1",
            "MACLIP_RATING__MINIMUM_PHOTOS": "5",
            "MACLIP_SCORING__THREADS": "1",
            # Tests run at normal priority, on battery too.
            "MACLIP_BACKGROUND__NICE": "0",
            "MACLIP_BACKGROUND__PAUSE_ON_BATTERY": "false",
        }
        self._processes: list[subprocess.Popen[str]] = []

    def maclip(
        self,
        *arguments: str | Path,
        expect: int | None = 0,
        timeout_s: float = TIMEOUT_S,
        **environment: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run one command, check its exit code, and return the completed process."""
        done = subprocess.run(
            [sys.executable, "-m", "maclip_daemon", *map(str, arguments)],
            env=self.environment | environment,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=timeout_s,
            check=False,
        )
        if expect is not None:
            assert done.returncode == expect, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *arguments: str | Path) -> Any:
        return json.loads(self.maclip(*arguments).stdout)

    def daemon(self, *arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
        """Start the daemon, by default on the photos folder, and return its process."""
        process = subprocess.Popen(
            [sys.executable, "-m", "maclip_daemon", "run", *map(str, arguments or (self.photos,))],
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._processes.append(process)
        return process

    def stop(self, process: subprocess.Popen[str], number: int = signal.SIGTERM) -> str:
        """Stop a daemon with a signal and return its output."""
        process.send_signal(number)
        output, _ = process.communicate(timeout=TIMEOUT_S)
        return output

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a read-only query; none when there is no database yet."""
        database = self.data / "library.db"
        if not database.exists():
            return []
        connection = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(statement, values).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error) or "readonly database" in str(
                error
            ):  # a daemon died while making it
                return []
            raise
        finally:
            connection.close()

    def scored(self) -> dict[str, float]:
        """Return scores by file name, without missing photos."""
        return dict(self.sql("select file_name, score from photo_quality where state = 'scored'"))

    def is_at_rest(self) -> bool:
        """Return whether the queue is empty and no calibration is due that would add jobs.

        Only for models without star edges of their own. Reads the minimum of photos from `environment`.
        """
        rows = self.sql(
            """
            select (select count(*) from jobs),
                (select count(*) from scores where scoring_config_id = active.id)
                    - (select count(*) from photo_pairs pair
                        join scores s on s.photo_id = pair.photo_id and s.scoring_config_id = active.id
                        join scores raw on raw.photo_id = pair.raw_id and raw.scoring_config_id = active.id),
                (select photo_count from calibrations c where c.scoring_config_id = active.id
                    order by number desc),
                (select source from calibrations c where c.scoring_config_id = active.id order by number desc)
            from scoring_configs active where active.active = 1
            """
        )
        if not rows:
            return False
        jobs, scored, calibrated_with, source = rows[0]
        if calibrated_with is None:
            due = scored >= int(self.environment["MACLIP_RATING__MINIMUM_PHOTOS"])
        else:
            due = source == "library" and scored >= GROWTH * calibrated_with and scored > calibrated_with
        return not jobs and not due

    def kill_daemons(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.communicate()


def make_photo(path: Path, seed: int = 0, size: tuple[int, int] = (640, 480), blur: float = 0.0) -> Path:
    """Write a photo-like image (smooth shapes and texture) made from a seed, and return its path."""
    random = np.random.default_rng(seed)
    shapes = random.integers(0, 255, (6, 8, 3), dtype=np.uint8)
    texture = random.normal(0, 12, (size[1], size[0], 3))
    picture = np.asarray(Image.fromarray(shapes).resize(size, Image.Resampling.BICUBIC), np.float32) + texture
    image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(blur))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, quality=90)
    return path


def make_photos(folder: Path, count: int, first: int = 0) -> list[Path]:
    return [make_photo(folder / f"IMG_{number:04d}.jpg", number) for number in range(first, first + count)]


def contents(folder: Path) -> dict[Path, bytes]:
    """Return the bytes of every file below a folder, by path."""
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
