"""Why a model file cannot be read, in this program's words: the libraries' own speak of their insides."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

_ZIP = b"PK\x03\x04"
# torch.save before version 1.6: a pickle of the number 0x1950a86a20f9469cfc6c
_OLD_STATE_DICT = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"
_LONGEST_HEADER = 100_000_000  # bytes; the limit of the safetensors format


def what_is_wrong(path: Path) -> str:
    """The rest of a sentence that begins with the file: `is cut off`, `is not a model file (…)`, ….

    Raises `OSError` when the file cannot be opened.
    """
    with path.open("rb") as file:
        start = file.read(max(len(_OLD_STATE_DICT), 9))
    if not start:
        return "is empty"
    if start.startswith(_ZIP):
        return _what_is_wrong_with_zip(path)
    if start.startswith(_OLD_STATE_DICT):
        return "is damaged or cut off"
    if start[8:9] == b"{":
        wrong = _what_is_wrong_with_safetensors(path)
        if wrong is not None:
            return wrong
    return "is not a model file (neither TorchScript, a state dict, nor safetensors)"


def _what_is_wrong_with_zip(path: Path) -> str:
    if not zipfile.is_zipfile(path):  # the directory stands at the end
        return "is cut off"
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        return "is damaged"
    if not any(name.endswith("/data.pkl") for name in names):
        return "is not a model file (neither TorchScript, a state dict, nor safetensors)"
    return "is damaged"


def _what_is_wrong_with_safetensors(path: Path) -> str | None:
    """None: that is no safetensors file; eight bytes of length, a JSON header, then the tensors."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > _LONGEST_HEADER:
            return None
        if 8 + length > size:
            return "is cut off"
        try:
            header = json.loads(file.read(length))
            tensors = [entry for name, entry in header.items() if name != "__metadata__"]
            end = max((int(entry["data_offsets"][1]) for entry in tensors), default=0)
        except (ValueError, LookupError, TypeError, AttributeError):
            return "is damaged"
    return "is cut off" if 8 + length + end > size else "is damaged"
