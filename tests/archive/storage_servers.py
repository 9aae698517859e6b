"""Other people's storage on loopback: Google's and Azure's by their emulators, a file server by SSH."""

from __future__ import annotations

import base64
import contextlib
import getpass
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest


def require(*modules: str) -> None:
    """Skip the test where a package is missing."""
    for name in modules:
        if find_spec(name) is None:
            pytest.skip(f"{name} is not installed: pip install {name}")


@contextlib.contextmanager
def google(folder: Path) -> Iterator[dict[str, str]]:
    """Run the emulator of Google's storage; yield the environment of its clients."""
    if find_spec("gcp_storage_emulator") is None:
        pytest.skip("gcp-storage-emulator is not installed: pip install gcp-storage-emulator")
    port = free_port()
    command = [sys.executable, "-m", "gcp_storage_emulator", "start", f"--port={port}", "--in-memory"]
    with _server(command, port, folder):
        address = f"http://127.0.0.1:{port}"
        body = b'{"name": "studio"}'
        headers = {"Content-Type": "application/json"}
        made = urllib.request.Request(f"{address}/storage/v1/b?project=test", body, headers)
        urllib.request.urlopen(made, timeout=60).close()
        yield {"STORAGE_EMULATOR_HOST": address}


@contextlib.contextmanager
def azure(folder: Path) -> Iterator[dict[str, str]]:
    """Run Azurite; yield the environment of its clients."""
    program = shutil.which("azurite-blob")
    if program is None:
        pytest.skip("azurite is not installed: npm install --global azurite")
    port = free_port()
    key = base64.b64encode(secrets.token_bytes(64)).decode()
    command = [program, "--blobPort", str(port), "--location", str(folder), "--skipApiVersionCheck"]
    with _server(command, port, folder, AZURITE_ACCOUNTS=f"studio:{key}"):
        connection = f"{_azure_endpoint(port)}AccountKey={key};"
        from azure.storage.blob import BlobServiceClient

        BlobServiceClient.from_connection_string(connection).create_container("studio")
        yield {"AZURE_STORAGE_CONNECTION_STRING": connection}


def azure_reader(environment: dict[str, str]) -> dict[str, str]:
    """Return the environment of somebody who may read and list, and nothing else."""
    from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas

    parts = dict(
        part.split("=", 1) for part in environment["AZURE_STORAGE_CONNECTION_STRING"].split(";") if part
    )
    signature = generate_account_sas(
        parts["AccountName"],
        parts["AccountKey"],
        ResourceTypes(service=True, container=True, object=True),
        AccountSasPermissions(read=True, list=True),
        datetime.now(UTC) + timedelta(hours=1),
    )
    connection = f"BlobEndpoint={parts['BlobEndpoint']};SharedAccessSignature={signature}"
    return {"AZURE_STORAGE_CONNECTION_STRING": connection}


def azure_stranger(environment: dict[str, str]) -> dict[str, str]:
    """Return the environment of somebody with a wrong key."""
    known, _, _ = environment["AZURE_STORAGE_CONNECTION_STRING"].partition("AccountKey=")
    key = base64.b64encode(secrets.token_bytes(64)).decode()
    return {"AZURE_STORAGE_CONNECTION_STRING": f"{known}AccountKey={key};"}


def azure_nowhere() -> dict[str, str]:
    """Return the environment of clients whose server does not answer."""
    key = base64.b64encode(secrets.token_bytes(64)).decode()
    return {"AZURE_STORAGE_CONNECTION_STRING": f"{_azure_endpoint(free_port())}AccountKey={key};"}


def _azure_endpoint(port: int) -> str:
    blobs = f"BlobEndpoint=http://127.0.0.1:{port}/studio;"
    return f"DefaultEndpointsProtocol=http;AccountName=studio;{blobs}"


class FileServerProcess:
    """OpenSSH's server on loopback, for files alone. It is run by the person who runs the tests."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if program is None:
            pytest.skip("OpenSSH's server is not installed: apt-get install openssh-server")
        self._folder = folder
        self._keys = folder / "authorized"
        self._keys.touch()
        self.port = free_port()
        self.files = folder / "files"
        self.files.mkdir()
        self.renew_key()
        options = {
            "AuthorizedKeysFile": self._keys,
            "HostKey": folder / "host",
            "ListenAddress": "127.0.0.1",
            "PasswordAuthentication": "no",
            "PidFile": "none",
            "Port": self.port,
            "StrictModes": "no",
            "Subsystem": "sftp internal-sftp",
        }
        (folder / "sshd_config").write_text("".join(f"{name} {value}\n" for name, value in options.items()))
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        self._command = [program, "-D", "-e", "-f", str(folder / "sshd_config")]
        self._running = contextlib.ExitStack()

    @property
    def address(self) -> str:
        """Return the address of its folder."""
        return f"sftp://{getpass.getuser()}@127.0.0.1:{self.port}{self.files}"

    def renew_key(self) -> None:
        """Give the server another key than before; it counts from the next start on."""
        (self._folder / "host").unlink(missing_ok=True)
        _make_key(self._folder / "host")

    def let_in(self, home: Path, command: str = "internal-sftp", *, knows_server: bool = True) -> None:
        """Let in whoever has this home folder, for a command alone."""
        keys = home / ".ssh"
        keys.mkdir(mode=0o700, parents=True)
        _make_key(keys / "id_ed25519")
        with self._keys.open("a") as file:
            file.write(f'command="{command}" {(keys / "id_ed25519.pub").read_text()}')
        if knows_server:
            public = (self._folder / "host.pub").read_text()
            (keys / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {public}")

    def start(self) -> None:
        """Run the server."""
        self._running.enter_context(_server(self._command, self.port, self._folder))

    def stop(self) -> None:
        """End the server and the connections it has, as a power cut does."""
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if process.name().startswith("sshd"):
                    process.kill()
        self._running.close()


def _make_key(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)


@contextlib.contextmanager
def file_server(folder: Path) -> Iterator[FileServerProcess]:
    """Run a file server by SSH whose files are below a folder."""
    server = FileServerProcess(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextlib.contextmanager
def _server(command: list[str], port: int, folder: Path, **environment: str) -> Iterator[None]:
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=os.environ | environment)
    try:
        deadline = time.monotonic() + 300
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
                break
            assert process.poll() is None, (folder / "server.log").read_text()
            assert time.monotonic() < deadline, (folder / "server.log").read_text()
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        process.wait(60)
