"""What file systems raise about an address, as one sentence."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from maclip_daemon.archive.storage import is_refused
from maclip_daemon.errors import EnvironmentUnfit, UsageError

# The libraries of object stores raise errors of their own beside `OSError`: module and base class.
_REMOTE = (
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("aiohttp", "ClientError"),
    ("google.auth.exceptions", "GoogleAuthError"),
    ("azure.core.exceptions", "AzureError"),
    ("paramiko", "SSHException"),
)

_PACKAGES = {
    **dict.fromkeys(("s3", "s3a"), "s3fs"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("az", "abfs", "abfss", "adl"), "adlfs"),
    **dict.fromkeys(("sftp", "ssh"), "paramiko"),
}
"""What opens a kind of address."""


@contextmanager
def readable(shown: str) -> Iterator[None]:
    """Raise what a file system raises as one sentence about an address, which is `shown` as printable text.

    `UsageError` for an address that is wrong or empty, `EnvironmentUnfit` for one that cannot be read now.
    """
    try:
        yield
    except ImportError as error:
        package = _PACKAGES.get(shown.partition("://")[0]) or error.name or "its package"
        raise EnvironmentUnfit(
            f"{shown} needs another package for this kind of address: pip install {package}."
        ) from None
    except FileNotFoundError:
        raise UsageError(f"There is nothing at {shown}. Check the spelling.") from None
    except ValueError:
        raise UsageError(
            f"{shown} is no address that can be opened: name a folder, or a URL such as s3://bucket/folder."
        ) from None
    except _storage_errors() as error:
        if "Credentials" in type(error).__name__:
            raise EnvironmentUnfit(
                f"{shown} needs credentials, and there are none. Set them as for the store's own tools."
            ) from None
        if is_refused(error):
            raise EnvironmentUnfit(
                f"{shown} may not be read with these credentials. Check the rights of this account."
            ) from None
        if "://" in shown:
            raise EnvironmentUnfit(
                f"{shown} cannot be reached now. Check the address and the network, and try again."
            ) from None
        reason = error.strerror if isinstance(error, OSError) else None
        raise EnvironmentUnfit(
            f"{shown} cannot be read: {reason or 'the disk gave an error'}. Try again."
        ) from None


def _storage_errors() -> tuple[type[Exception], ...]:
    """Return what file systems raise, by the libraries that are loaded; others cannot have raised any."""
    found = (getattr(sys.modules.get(module), name, None) for module, name in _REMOTE)
    return (OSError, *(each for each in found if each is not None))
