"""What a model file may unpack to: a small file must not fill the memory.

Weights are stored as they are. A file that promises much more than its own size was made to do harm.
"""

from __future__ import annotations

import pickletools
import zipfile
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from maclip_daemon.errors import ModelUnavailable

_ALLOWANCE = 64 << 20  # bytes above twice the file's size: the code of an archive is compressed
_LONGEST_DESCRIPTION = 64 << 20  # bytes of `data.pkl`; RN50 of OpenAI has 0.2 MB


def require_plausible_archive(path: Path) -> None:
    """Raise `ModelUnavailable` for a zip archive whose parts unpack to much more than the file holds."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(part.file_size for part in archive.infolist())
    except zipfile.BadZipFile:
        return  # the reader explains what is wrong with it
    _require_plausible(unpacked, path)


def require_plausible_tensors(state: Mapping[str, Tensor], path: Path) -> None:
    """Raise `ModelUnavailable` for tensors that repeat a small storage many times."""
    _require_plausible(sum(value.numel() * value.element_size() for value in state.values()), path)


def require_plausible_pickle(description: bytes, path: Path) -> None:
    """Raise `ModelUnavailable` for a pickle whose memo would be longer than the pickle.

    The unpickler reserves room for each index it is told to remember. Raises `ValueError` for no pickle.
    """
    if len(description) > _LONGEST_DESCRIPTION:
        _refuse(len(description), path)
    for opcode, index, _ in pickletools.genops(description):
        is_memo = opcode.name in ("PUT", "BINPUT", "LONG_BINPUT")
        if is_memo and isinstance(index, int) and index > len(description):
            _refuse(index * 16, path)  # two pointers for each index


def _require_plausible(unpacked: int, path: Path) -> None:
    if unpacked > 2 * path.stat().st_size + _ALLOWANCE:
        _refuse(unpacked, path)


def _refuse(unpacked: int, path: Path) -> None:
    raise ModelUnavailable(
        f"{path} is not a plain set of weights: its {path.stat().st_size / 1e6:,.1f} MB would take "
        f"{unpacked / 1e6:,.1f} MB of memory. Nothing was loaded. Fetch it again from its authors."
    )
