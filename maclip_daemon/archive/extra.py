"""The packages of the extra `archive`, which a plain installation does not have."""

from __future__ import annotations

import importlib.util

from maclip_daemon.errors import EnvironmentUnfit

_PACKAGES = ("duckdb", "fsspec", "pyarrow", "ray")
INSTALL = "Archives need Ray, PyArrow and DuckDB. Install them with `pip install 'maclip-daemon[archive]'`"


def require_archive_extra() -> None:
    """Raise `EnvironmentUnfit` with what to type where a package of the extra is missing."""
    if not all(importlib.util.find_spec(name) for name in _PACKAGES):
        raise EnvironmentUnfit(f"{INSTALL}.")
