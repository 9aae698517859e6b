"""The service definitions, read by systemd, plistlib and an XML parser."""

from __future__ import annotations

import ctypes
import os
import plistlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from maclip_daemon.cli.service import service_definition
from maclip_daemon.errors import UsageError

REPOSITORY = Path(__file__).parents[2]
HOSTILE_NAMES = [
    "a b",
    "100% sure %h %%",
    "$HOME ${HOME} $$",
    "\"double\" and 'single'",
    "back\\slash \\n \\x41",
    "line\nbreak\ttab\x7f",
    "ünïcode 写真 \u2028",
    "not UTF-8 \udcff\udce9",
    "; # - : !@+ trailing ",
    "-- > & < ]]>",
]
EXPOSURE_LIMIT = 3.0

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed (Debian: systemd)"
)


def command(*folders: str) -> list[str]:
    return service_definition.service_command([Path("/photos", name) for name in folders])


def value_of(key: str, unit: str) -> str:
    found = re.search(rf"^{key}=(.*)$", unit, re.MULTILINE)
    assert found is not None
    return found[1]


def systemd_words(line: str) -> list[str]:
    """Split a line with systemd's own shared library, then undo `%%`."""
    libraries = sorted(Path("/usr/lib").glob("**/systemd/libsystemd-shared-*.so"))
    if not libraries:
        pytest.skip("libsystemd-shared is not installed (Debian: systemd)")
    extract: Callable[..., int] = ctypes.CDLL(str(libraries[-1])).extract_first_word
    unescape, unquote = 1 << 1, 1 << 5  # EXTRACT_CUNESCAPE, EXTRACT_UNQUOTE of extract-word.h
    rest, word = ctypes.c_char_p(os.fsencode(line)), ctypes.c_char_p()
    words = []
    while extract(ctypes.byref(rest), ctypes.byref(word), None, unescape | unquote) > 0:
        assert word.value is not None
        assert re.fullmatch(rb"(?:[^%]|%%)*", word.value), "a specifier would be replaced"
        words.append(os.fsdecode(word.value.replace(b"%%", b"%")))
    return words


def verify(unit: Path, *flags: str) -> str:
    """Return the complaints of `systemd-analyze verify` about this unit."""
    runtime = unit.parent / "runtime"
    runtime.mkdir(mode=0o700, exist_ok=True)
    ended = subprocess.run(
        ["systemd-analyze", *flags, "verify", "--man=no", str(unit)],
        env=os.environ | {"XDG_RUNTIME_DIR": str(runtime), "SYSTEMD_LOG_TARGET": "console"},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    ours = [line for line in (ended.stdout + ended.stderr).splitlines() if "maclip" in line]
    assert ended.returncode == 0 or ours, ended.stderr
    return "\n".join(ours)


@needs_systemd
def test_systemd_finds_nothing_wrong_with_the_user_unit(tmp_path: Path) -> None:
    unit = tmp_path / "maclip.service"
    unit.write_text(service_definition.user_unit(command(*HOSTILE_NAMES)))
    assert verify(unit, "--user") == ""


@needs_systemd
def test_systemd_reports_a_wrong_line_in_the_user_unit(tmp_path: Path) -> None:
    unit = tmp_path / "maclip.service"
    text = service_definition.user_unit(command("a"))
    unit.write_text(text.replace("RestrictRealtime=yes", "RestrictRealtime=perhaps"))
    assert "perhaps" in verify(unit, "--user")


@needs_systemd
def test_systemd_finds_nothing_wrong_with_the_system_template(tmp_path: Path) -> None:
    unit = tmp_path / "maclip@alice.service"
    folders = [Path("/photos", name) for name in HOSTILE_NAMES]
    unit.write_text(service_definition.system_unit(command(*HOSTILE_NAMES), folders))
    assert verify(unit) == ""


def exposure(unit: Path, *flags: str) -> float:
    runtime = unit.parent / "runtime"
    runtime.mkdir(mode=0o700)
    ended = subprocess.run(
        ["systemd-analyze", *flags, "security", "--offline=yes", "--no-pager", str(unit)],
        env=os.environ | {"XDG_RUNTIME_DIR": str(runtime)},
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"Overall exposure level for .*: ([0-9.]+)", ended.stdout)
    assert found is not None, ended.stderr
    return float(found[1])


@needs_systemd
def test_the_exposure_of_the_system_template_is_below_the_limit(tmp_path: Path) -> None:
    unit = tmp_path / "maclip@alice.service"
    unit.write_text(service_definition.system_unit(command("a"), [Path("/photos/a")]))
    assert exposure(unit) < EXPOSURE_LIMIT


@needs_systemd
def test_the_exposure_of_the_user_unit_is_below_the_limit(tmp_path: Path) -> None:
    unit = tmp_path / "maclip.service"
    unit.write_text(service_definition.user_unit(command("a")))
    assert exposure(unit, "--user") < EXPOSURE_LIMIT


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_systemd_reads_the_watched_folder_unchanged(name: str) -> None:
    wanted = command(name)
    line = value_of("ExecStart", service_definition.user_unit(wanted))
    assert line.startswith(":"), "or variables would be replaced"
    assert systemd_words(line.removeprefix(":")) == wanted


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_systemd_reads_the_writable_folders_unchanged(name: str) -> None:
    folders = [Path("/photos", name), Path("/photos/other")]
    unit = service_definition.system_unit(command(name), folders)
    assert systemd_words(value_of("ReadWritePaths", unit)) == [str(folder) for folder in folders]


@needs_systemd
def test_an_interpreter_path_that_systemd_refuses_is_started_through_the_shell(tmp_path: Path) -> None:
    interpreter = tmp_path / "O'Brien's \"environment\"" / "python"
    interpreter.parent.mkdir()
    interpreter.symlink_to(sys.executable)
    wanted = service_definition.service_command([tmp_path], interpreter=str(interpreter))
    unit = tmp_path / "maclip.service"
    unit.write_text(service_definition.user_unit(wanted))
    assert verify(unit, "--user") == ""
    shell = systemd_words(value_of("ExecStart", unit.read_text()).removeprefix(":"))
    ended = subprocess.run([*shell[:4], "-c", "import sys; print(sys.argv[1])", "a b"], capture_output=True)
    assert ended.stdout == b"a b\n"


def test_the_limits_of_the_contract_are_in_both_units() -> None:
    system = service_definition.system_unit(command("a"), [Path("/photos/a")])
    for unit in (service_definition.user_unit(command("a")), system):
        assert value_of("Type", unit) == "notify"
        assert value_of("RestartPreventExitStatus", unit) == "2 3"
        assert value_of("ExecReload", unit) == "kill -HUP $MAINPID"
        assert "MemoryDenyWriteExecute=y" not in unit
        assert "PrivateDevices=y" not in unit


def test_what_needs_a_user_namespace_can_be_left_out() -> None:
    whole = service_definition.user_unit(command("a"))
    without = service_definition.user_unit(command("a"), in_namespace=False)
    assert service_definition.is_unchanged(without)
    for line in ("PrivateUsers=yes", "ProtectSystem=full", "PrivateNetwork=yes", "CapabilityBoundingSet="):
        assert re.search(f"^{line}$", whole, re.MULTILINE)
        assert line not in without
    assert "[Install]" in without
    for line in ("PrivateTmp=", "ProtectHome="):
        assert not re.search(f"^{line}", whole, re.MULTILINE), "photos may be there"


def test_the_launch_agent_is_a_property_list_with_the_whole_command(tmp_path: Path) -> None:
    writable = [name for name in HOSTILE_NAMES if "\udcff" not in name and name.isprintable()]
    assert len(writable) >= 6
    text = service_definition.launch_agent(command(*writable), tmp_path / "R&D" / "maclip.log")
    agent = plistlib.loads(text.encode())
    assert agent["ProgramArguments"] == command(*writable)
    assert agent["Label"] == "maclip"
    assert agent["StandardErrorPath"] == str(tmp_path / "R&D" / "maclip.log")
    assert service_definition.is_unchanged(text)


def test_the_windows_task_is_xml_with_the_whole_command() -> None:
    run = ["C:\\Program Files\\py&thon.exe", "-m", "maclip_daemon", "run", "D:\\Fo tos\\", 'a"b']
    text = service_definition.windows_task(run, "HOME\\Zoë & co")
    root = ElementTree.fromstring(text)
    space = {"task": "http://schemas.microsoft.com/windows/2004/02/mit/task"}
    assert root.findtext(".//task:Command", namespaces=space) == run[0]
    arguments = root.findtext(".//task:Arguments", namespaces=space)
    assert arguments == '-m maclip_daemon run "D:\\Fo tos\\\\" a\\"b'
    assert {element.text for element in root.iterfind(".//task:UserId", space)} == {"HOME\\Zoë & co"}
    assert service_definition.is_unchanged(text)


@pytest.mark.parametrize("name", ["bell\x07", "not UTF-8 \udcff"])
def test_a_folder_that_xml_cannot_hold_is_refused_by_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="characters that a service definition cannot hold"):
        service_definition.launch_agent(command(name), tmp_path / "log")


def test_any_change_invalidates_the_seal() -> None:
    text = service_definition.user_unit(command("a"))
    assert service_definition.is_unchanged(text)
    for changed in (
        text + "\n",
        text.replace("CPUWeight=20", "CPUWeight=30"),
        text.replace("sha256:", "sha256:0", 1),
        "",
    ):
        assert not service_definition.is_unchanged(changed)


def test_the_inotify_file_holds_only_kernel_settings_that_exist() -> None:
    for line in service_definition.inotify_limits().splitlines():
        if line and not line.startswith("#"):
            key, _, value = line.partition("=")
            assert int(value) > 0
            setting = Path("/proc/sys", *key.strip().split("."))
            if sys.platform == "linux" and Path("/proc/sys/fs/inotify").is_dir():
                assert setting.exists()


def test_a_wheel_and_the_checkout_have_the_same_definitions(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    for name in ("maclip_daemon", "service"):
        shutil.copytree(
            REPOSITORY / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    (source / "README.md").touch()
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(source)]
    built = subprocess.run([*pip, *build], capture_output=True, text=True, check=False)
    if "No module named" in built.stderr or "BackendUnavailable" in built.stderr:
        pytest.skip("pip and setuptools are not installed in this environment")
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(target), str(wheel)], check=True)
    assert not any(path.is_symlink() for path in target.rglob("*"))
    for definition in REPOSITORY.joinpath("service").iterdir():
        if definition.is_file() and definition.suffix != ".md":
            installed = target / "maclip_daemon" / "service_files" / definition.name
            assert installed.read_bytes() == definition.read_bytes()
    program = (
        "import importlib.resources as r; import maclip_daemon; print(maclip_daemon.__file__);"
        "print((r.files('maclip_daemon') / 'service_files' / 'maclip.service').read_text())"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(target)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.startswith(str(target))
    assert "WatchdogSec=" in shown.stdout
