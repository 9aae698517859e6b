"""TorchScript archives read as data: tensors come out, no code runs.

`torch.jit.load` would run a program (its `__setstate__` methods at once). An archive is a zip file:
`data.pkl` describes the module's attributes, `data/N` are raw tensors. The unpickler here rebuilds
tensors and fills inert attribute bags; it refuses every other name. The archive's `code/` is never opened.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from maclip_daemon.errors import ModelUnavailable
from maclip_daemon.iqa.models import file_limits

_MOST_PARTS = 100_000  # ViT-L/14 has 2 500
_DEEPEST_PART = 64
_DTYPES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "BoolStorage": torch.bool,
}


class _Refused(pickle.UnpicklingError):
    """The archive names something that is not part of a model's weights."""


class _Attributes:
    """A stand-in for any class of the archive: it holds a state and does nothing."""

    __slots__ = ("state",)

    def __init__(self, *_: object) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


def is_archive(path: Path) -> bool:
    """Tell whether a file is a TorchScript archive, which carries code, and not a plain saved state dict."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(PurePosixPath(name).name == "constants.pkl" for name in archive.namelist())


def read_state(path: Path) -> dict[str, Tensor]:
    """Return all tensors of a TorchScript archive by their dotted names, without running its code.

    Raises `ModelUnavailable` for an archive that is damaged or names anything but tensors.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            (description,) = (
                name for name in archive.namelist() if PurePosixPath(name).parts[1:] == ("data.pkl",)
            )
            root = str(PurePosixPath(description).parent)
            pickled = archive.read(description)
            file_limits.require_plausible_pickle(pickled, path)
            return _flatten(_TensorsOnly(archive, root, pickled).load())
    except _Refused as error:
        raise ModelUnavailable(f"{path} is not a plain set of weights: {error}.") from None
    except (
        zipfile.BadZipFile,
        pickle.UnpicklingError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        EOFError,
        RuntimeError,
        MemoryError,
    ):
        raise ModelUnavailable(f"{path} is a damaged TorchScript archive. Fetch it again.") from None


def _flatten(module: Any) -> dict[str, Tensor]:
    """Return the tensors by dotted name. Raises `_Refused` for modules inside each other without end."""
    found: dict[str, Tensor] = {}
    waiting: list[tuple[tuple[str, ...], Any]] = [((), module)]
    visits = 0
    while waiting:
        names, part = waiting.pop()
        visits += 1
        if visits > _MOST_PARTS or len(names) > _DEEPEST_PART:
            raise _Refused("its parts hold each other without end")
        state = getattr(part, "state", None) if isinstance(part, _Attributes) else None
        for name, value in state.items() if isinstance(state, dict) else ():
            if isinstance(value, Tensor):
                found[".".join((*names, str(name)))] = value
            else:
                waiting.append(((*names, str(name)), value))
    return found


class _TensorsOnly(pickle.Unpickler):
    """An unpickler whose only callables are those of this module."""

    def __init__(self, archive: zipfile.ZipFile, root: str, pickled: bytes) -> None:
        super().__init__(io.BytesIO(pickled))
        self._archive = archive
        self._root = root

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("__torch__"):
            # A class of its own: the opcode BUILD could set attributes on a shared one.
            return type("_Attributes", (_Attributes,), {"__slots__": ()})
        if module == "torch" and name in _DTYPES:
            return name
        known: dict[tuple[str, str], Callable[..., Any]] = {
            ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
            ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
            ("collections", "OrderedDict"): OrderedDict,
            ("torch.jit._pickle", "restore_type_tag"): lambda value, _: value,
            ("torch.jit._pickle", "build_intlist"): list,
            ("torch.jit._pickle", "build_doublelist"): list,
            ("torch.jit._pickle", "build_boollist"): list,
            ("torch.jit._pickle", "build_tensorlist"): list,
        }
        if (module, name) not in known:
            raise _Refused(f"it names {module}.{name}, which is not part of a model's weights")
        return known[module, name]

    def persistent_load(self, reference: Any) -> Tensor:
        kind, storage, key, _device, count = reference
        if kind != "storage" or storage not in _DTYPES or "/" in str(key):
            raise _Refused("it has a tensor of an unknown kind")
        raw = bytearray(self._archive.read(f"{self._root}/data/{key}"))
        values = (
            torch.frombuffer(raw, dtype=_DTYPES[storage]) if raw else torch.empty(0, dtype=_DTYPES[storage])
        )
        if len(values) < count:
            raise pickle.UnpicklingError("a tensor is cut off")
        return values


def _rebuild(
    values: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object
) -> Tensor:
    # as_strided checks that nothing outside of the storage is read.
    return values.as_strided(size, stride, offset)
