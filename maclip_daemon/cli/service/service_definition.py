"""The text of a service definition: the templates of `service/`, filled in for one installation.

Every definition has a seal, a checksum over the rest of it, by which `uninstall` recognises it.
"""

from __future__ import annotations

import hashlib
import html
import os
import re
import string
import subprocess
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from maclip_daemon.cli.service import isolation
from maclip_daemon.errors import UsageError

_UNSEALED = "sha256:" + "0" * 64
_SEAL_TEXT = "Written by `maclip service`; changed by hand if this no longer fits: "
_SEAL = re.compile(re.escape(_SEAL_TEXT) + "(sha256:[0-9a-f]{64})")
# systemd refuses the path of a program, unlike its arguments, with any of these (string_is_safe).
_UNSAFE_IN_PROGRAM = re.compile(r"[\x00-\x1f\x7f\"'\\\udc80-\udcff]")
# XML 1.0, section 2.2: no other character can be written in a document at all.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def service_command(
    folders: Sequence[Path],
    *,
    config: Path | None = None,
    data_dir: Path | None = None,
    interpreter: str = sys.executable,
) -> list[str]:
    """Return the command line that runs this installation's daemon on `folders`."""
    command = [interpreter, "-m", "maclip_daemon"]
    if config is not None:
        command += ["--config", str(config.absolute())]
    if data_dir is not None:
        command += ["--data-dir", str(data_dir.absolute())]
    return [*command, "run", *(os.fspath(folder) for folder in folders)]


def user_unit(command: Sequence[str], *, in_namespace: bool = True, network: bool = False) -> str:
    """Render the systemd unit of one user.

    `in_namespace`: with what needs a user namespace. `network`: the service may use the network.
    """
    unit = _template("maclip.service").substitute(seal=_UNSEALED_LINE, command=_exec_line(command))
    unit = isolation.with_network(unit) if network else unit
    return _seal(unit if in_namespace else isolation.without_namespace(unit))


def system_unit(command: Sequence[str], writable: Sequence[Path], *, network: bool = False) -> str:
    """Render the systemd template for machines where nobody logs in; `writable`: where sidecars may go."""
    unit = _template("maclip@.service").substitute(
        seal=_UNSEALED_LINE,
        command=_exec_line(command),
        writable=" ".join(quote_for_systemd(os.fspath(folder)) for folder in writable),
    )
    return _seal(isolation.with_network(unit) if network else unit)


def launch_agent(command: Sequence[str], log: Path) -> str:
    """Render the launchd agent of macOS; the daemon's output goes to the file `log`."""
    arguments = "\n".join(f"\t\t<string>{_xml(word)}</string>" for word in command)
    return _seal(
        _template("maclip.plist").substitute(
            seal=_UNSEALED_LINE, arguments=arguments, log=_xml(os.fspath(log))
        )
    )


def windows_task(command: Sequence[str], user: str) -> str:
    """Render the scheduled task of Windows that starts when `user` (DOMAIN\\name) logs in."""
    return _seal(
        _template("maclip-task.xml").substitute(
            seal=_UNSEALED_LINE,
            user=_xml(user),
            program=_xml(command[0]),
            arguments=_xml(subprocess.list2cmdline(command[1:])),
        )
    )


def darktable_plugin(*, config: Path | None = None, data_dir: Path | None = None) -> str:
    """Render darktable's plugin, which calls this installation's program."""
    command = service_command([], config=config, data_dir=data_dir)[:-1]
    words = ", ".join(map(_lua_string, command))
    plugin = _file("darktable/maclip.lua").replace("$seal", _UNSEALED_LINE, 1)
    return _seal(plugin.replace('local COMMAND = { "maclip" }', f"local COMMAND = {{ {words} }}", 1))


def inotify_limits() -> str:
    """Return the sysctl file that raises the kernel's limits on watched folders."""
    return _file("99-maclip-inotify.conf")


def is_unchanged(text: str) -> bool:
    """Return whether maclip wrote `text` and it is unchanged."""
    found = _SEAL.search(text)
    return found is not None and _seal(text.replace(found[1], _UNSEALED)) == text


def quote_for_systemd(word: str) -> str:
    r"""Quote one word of a unit file (systemd.syntax(7), "Quoting"; systemd.unit(5), "Specifiers").

    Bytes that are no valid UTF-8, and control characters, become `\xHH`; `%` is doubled.
    """
    quoted = []
    for character in word:
        if character in '"\\':
            quoted.append("\\" + character)
        elif character == "%":
            quoted.append("%%")
        elif character < " " or character == "\x7f" or "\udc80" <= character <= "\udcff":
            quoted.append(f"\\x{os.fsencode(character)[0]:02x}")
        else:
            quoted.append(character)
    return '"' + "".join(quoted) + '"'


_UNSEALED_LINE = _SEAL_TEXT + _UNSEALED


def _seal(text: str) -> str:
    return text.replace(_UNSEALED, "sha256:" + hashlib.sha256(text.encode()).hexdigest(), 1)


def _exec_line(command: Sequence[str]) -> str:
    if _UNSAFE_IN_PROGRAM.search(command[0]):
        command = ["/bin/sh", "-c", 'exec "$0" "$@"', *command]
    return " ".join(quote_for_systemd(word) for word in command)


def _lua_string(text: str) -> str:
    """Quote for Lua 5.4 (reference manual, 3.1): printable ASCII stays, every other byte is `\\ddd`."""
    plain = {byte for byte in range(0x20, 0x7F) if chr(byte) not in '"\\'}
    return '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03d}" for byte in os.fsencode(text)) + '"'


def _xml(text: str) -> str:
    if _NOT_XML.search(text):
        raise UsageError(
            f"{text!r} has characters that a service definition cannot hold. Rename the folder, or name it "
            "in the configuration (folders.paths) instead."
        )
    return html.escape(text, quote=False)


def _template(name: str) -> string.Template:
    return string.Template(_file(name))


def _file(name: str) -> str:
    return (resources.files("maclip_daemon") / "service_files" / name).read_text(encoding="utf-8")
