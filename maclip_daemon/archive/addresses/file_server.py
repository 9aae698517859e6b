"""A file server by SSH: only hosts that are known, and a connection that is made again when it was lost."""

from __future__ import annotations

import functools
import tempfile
import threading
from typing import Any

import paramiko
from fsspec.implementations.sftp import SFTPFileSystem

from maclip_daemon.errors import EnvironmentUnfit

_CONNECT_S = 30.0
_KEEPALIVE_S = 30  # the system then notices a server that is gone, while nothing else is sent


class _OnlyKnownHosts(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]
    """Refuses a server without a key in known_hosts: another machine could pretend to be it."""

    def missing_host_key(self, _client: Any, hostname: str, _key: Any) -> None:
        """Raise `EnvironmentUnfit` with what makes the server known."""
        raise EnvironmentUnfit(
            f"The file server {hostname} is not known on this machine yet. Log in once with `ssh`, which "
            "shows its key and remembers it in ~/.ssh/known_hosts."
        )


class FileServer(SFTPFileSystem):  # type: ignore[misc]
    """Files over SSH, as fsspec has them. Thread-safe: each thread has a connection of its own.

    In a session that threads share, one takes the answer that another waits for, and both wait without end.
    """

    def _connect(self) -> None:
        """Connect, for the first time or again.

        Raises `PermissionError` for a login that is refused, `EnvironmentUnfit` for an unknown server, and
        what paramiko raises for one that does not answer.
        """
        client = paramiko.SSHClient()
        client.load_system_host_keys()
        client.set_missing_host_key_policy(_OnlyKnownHosts())
        try:
            client.connect(self.host, **{"timeout": _CONNECT_S, **self.ssh_kwargs})
        except paramiko.BadHostKeyException:
            name = self._known_as
            raise EnvironmentUnfit(
                f"The file server {name} has another key than the one in ~/.ssh/known_hosts: it may be "
                f"another machine. If it is new, run `ssh-keygen -R '{name}'`, and log in once with `ssh`."
            ) from None
        except paramiko.SSHException:
            transport = client.get_transport()
            if transport is not None and transport.is_active():  # it answers, and takes none of the keys
                transport.close()
                raise PermissionError(f"{self.host} refuses the login") from None
            raise
        transport = client.get_transport()
        assert transport is not None
        transport.set_keepalive(_KEEPALIVE_S)
        self._of_thread.client, self._of_thread.session = client, client.open_sftp()

    @property
    def _known_as(self) -> str:
        """Return the server's name in ~/.ssh/known_hosts."""
        port = self.ssh_kwargs.get("port", 22)
        return str(self.host) if port == 22 else f"[{self.host}]:{port}"

    @property
    def ftp(self) -> Any:
        """Return the session, a new one where the connection was lost. Raises as `_connect`."""
        client = getattr(self._of_thread, "client", None)
        transport = None if client is None else client.get_transport()
        if transport is None or not transport.is_active():
            self._connect()
        return self._of_thread.session

    @functools.cached_property
    def _of_thread(self) -> threading.local:
        return threading.local()

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        """Open a file; one that is read arrives first as a whole, because several threads may read it."""
        if mode != "rb":
            return super()._open(path, mode, **options)
        copy = tempfile.TemporaryFile()  # noqa: SIM115 - whoever opened it closes it
        try:
            self.ftp.getfo(path, copy)
        except BaseException:
            copy.close()
            raise
        copy.seek(0)
        return copy
