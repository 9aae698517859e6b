"""Other people's storage on loopback: Google's and Azure's by their emulators, a file server by SSH."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

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
    port = _free_port()
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
    port = _free_port()
    key = base64.b64encode(secrets.token_bytes(64)).decode()
    command = [program, "--blobPort", str(port), "--location", str(folder), "--skipApiVersionCheck"]
    with _server(command, port, folder, AZURITE_ACCOUNTS=f"studio:{key}"):
        connection = (
            f"DefaultEndpointsProtocol=http;AccountName=studio;AccountKey={key};"
            f"BlobEndpoint=http://127.0.0.1:{port}/studio;"
        )
        from azure.storage.blob import BlobServiceClient

        BlobServiceClient.from_connection_string(connection).create_container("studio")
        yield {"AZURE_STORAGE_CONNECTION_STRING": connection}


@contextlib.contextmanager
def file_server(folder: Path, home: Path) -> Iterator[int]:
    """Run a file server by SSH that lets in a person's key below `home`; yield its port."""
    import asyncssh

    keys = home / ".ssh"
    keys.mkdir(mode=0o700)
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(keys / "id_ed25519")
    (keys / "id_ed25519").chmod(0o600)
    key.write_public_key(keys / "authorized")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def began() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            authorized_client_keys=str(keys / "authorized"),
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=str(folder)),
        )

    server = asyncio.run_coroutine_threadsafe(began(), loop).result(60)
    try:
        yield server.get_port()
    finally:
        asyncio.run_coroutine_threadsafe(_ended(server), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _ended(server: Any) -> None:
    """Close a server and its connections; let their tasks end."""
    server.close()
    await server.wait_closed()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.sleep(0.1)


def _free_port() -> int:
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
