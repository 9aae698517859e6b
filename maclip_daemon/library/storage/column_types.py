"""Column types: paths of any bytes, sentences about them, unsigned 64-bit numbers."""

from __future__ import annotations

from sqlalchemy import BigInteger, Dialect, String, Text, TypeDecorator

from maclip_daemon.library.storage.stored_paths import StoredPath, restored, stored

_TWO_TO_63 = 1 << 63


class PathText(TypeDecorator[str]):
    """A path: TEXT where it is valid UTF-8, a BLOB of its bytes where it is not."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> StoredPath | None:  # noqa: ARG002
        """Return text or bytes for the driver."""
        return None if value is None else stored(value)

    def process_result_value(self, value: StoredPath | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return the path with surrogate escapes."""
        return None if value is None else restored(value)


class ReadableText(TypeDecorator[str]):
    """A sentence for people. Bytes in a name in it that are not UTF-8 become escapes such as `\\udcff`."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return text that the driver can store."""
        return None if value is None else value.encode("utf-8", "backslashreplace").decode("utf-8")


class Unsigned64(TypeDecorator[int]):
    """An unsigned 64-bit number (inode, device) in SQLite's signed 64 bits; network shares use them all."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """Wrap the upper half to the negative numbers."""
        return value - 2 * _TWO_TO_63 if value is not None and value >= _TWO_TO_63 else value

    def process_result_value(self, value: int | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """Unwrap the negative numbers."""
        return value + 2 * _TWO_TO_63 if value is not None and value < 0 else value
