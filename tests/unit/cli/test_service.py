"""`maclip service`, with a stand-in for systemctl that is a real program on the search path."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from maclip_daemon.cli.service import isolation, service_commands, service_definition, service_manager
from maclip_daemon.errors import EnvironmentUnfit, MaclipError, UsageError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith(("MACLIP_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr("sys.platform", "linux")
    (tmp_path / "bin").mkdir()
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "My 100% photos"
    folder.mkdir()
    return folder


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    return tmp_path / "configuration/systemd/user/maclip.service"


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    """A reachable manager: programs that write down how they were called and succeed."""
    written = tmp_path / "calls"
    for name in ("systemctl", "loginctl"):
        program = tmp_path / "bin" / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> "{written}"\necho ActiveState=active\n')
        program.chmod(0o755)
    return written


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(service_commands.group, [os.fspath(argument) for argument in arguments])


def output_of(result: Result) -> str:
    assert result.exception is None, result.exception
    return result.output


def error_of(result: Result) -> MaclipError:
    assert isinstance(result.exception, MaclipError), result.output
    return result.exception


def test_install_writes_a_sealed_unit_and_starts_it(photos: Path, unit: Path, calls: Path) -> None:
    output = output_of(run("install", photos))
    text = unit.read_text()
    assert str(photos).replace("%", "%%") in text
    assert service_definition.is_unchanged(text)
    assert calls.read_text().splitlines() == [
        "systemctl --user show-environment",
        "systemctl --user daemon-reload",
        "systemctl --user enable maclip.service",
        "systemctl --user restart maclip.service",
    ]
    assert "journalctl --user -u maclip" in output
    assert "enable-linger" in output


def test_install_with_linger_asks_logind_for_it(photos: Path, calls: Path) -> None:
    output_of(run("install", photos, "--linger"))
    assert calls.read_text().splitlines()[-1].startswith("loginctl enable-linger ")


def test_install_without_a_reachable_manager_says_what_to_type(photos: Path, unit: Path) -> None:
    output = output_of(run("install", photos))
    assert unit.exists()
    assert "cannot be reached" in output
    assert "  systemctl --user restart maclip.service" in output


def test_a_dry_run_changes_nothing(photos: Path, unit: Path, calls: Path) -> None:
    output = output_of(run("install", photos, "--dry-run"))
    assert "ExecStart=" in output
    assert not unit.exists()
    assert not calls.exists()


def test_installing_again_replaces_the_folders(photos: Path, unit: Path, calls: Path, tmp_path: Path) -> None:
    output_of(run("install", photos))
    (tmp_path / "other").mkdir()
    output_of(run("install", tmp_path / "other"))
    assert "other" in unit.read_text()
    assert "My 100%" not in unit.read_text()
    assert [entry.name for entry in unit.parent.iterdir()] == ["maclip.service"]


@pytest.mark.parametrize("command", ["install", "print"])
def test_a_folder_that_does_not_exist_is_named(command: str, tmp_path: Path, unit: Path) -> None:
    error = error_of(run(command, tmp_path / "Pictuers"))
    assert isinstance(error, UsageError)
    assert error.exit_code == 2
    assert f"{tmp_path / 'Pictuers'} does not exist" in str(error)
    assert not unit.exists()


def test_a_file_given_as_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    assert "is a file" in str(error_of(run("install", tmp_path / "a.jpg")))


def test_without_folders_those_of_the_configuration_are_taken(tmp_path: Path, photos: Path) -> None:
    assert "No folder to watch" in str(error_of(run("print")))
    (tmp_path / "configuration/maclip").mkdir(parents=True)
    (tmp_path / "configuration/maclip/config.toml").write_text(f'[folders]\npaths = ["{photos}"]\n')
    assert str(photos).replace("%", "%%") in output_of(run("print"))


def test_a_relative_folder_becomes_absolute(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos)
    assert f'"run" "{photos}"'.replace("%", "%%") in output_of(run("print", "."))


def test_the_global_flags_are_handed_on_to_the_service(photos: Path, tmp_path: Path) -> None:
    whole = typer.Typer()

    @whole.callback()
    def main(config: Path | None = None, data_dir: Path | None = None) -> None: ...

    whole.add_typer(service_commands.group)
    (tmp_path / "c.toml").touch()
    flags = ["--config", str(tmp_path / "c.toml"), "--data-dir", "/var/tmp/library"]
    result = CliRunner().invoke(whole, [*flags, "service", "print", str(photos)])
    assert f'"--config" "{tmp_path}/c.toml" "--data-dir" "/var/tmp/library" "run"' in output_of(result)


def test_a_data_folder_from_the_environment_is_kept(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MACLIP_DATA_DIR", "/var/tmp/library")
    assert '"--data-dir" "/var/tmp/library"' in output_of(run("print", photos))


def test_uninstall_removes_the_unit_and_nothing_else(photos: Path, unit: Path, calls: Path) -> None:
    output_of(run("install", photos))
    (unit.parent / "other.service").touch()
    calls.unlink()
    assert "are unchanged" in output_of(run("uninstall"))
    assert [entry.name for entry in unit.parent.iterdir()] == ["other.service"]
    assert photos.is_dir()
    assert calls.read_text().splitlines() == [
        "systemctl --user show-environment",
        "systemctl --user disable --now maclip.service",
        "systemctl --user daemon-reload",
    ]
    assert "No service is installed" in output_of(run("uninstall"))


def test_uninstall_in_a_dry_run_keeps_the_unit(photos: Path, unit: Path) -> None:
    output_of(run("install", photos))
    assert "disable --now" in output_of(run("uninstall", "--dry-run"))
    assert unit.exists()


@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_a_unit_changed_by_hand_is_left_alone(command: str, photos: Path, unit: Path, calls: Path) -> None:
    output_of(run("install", photos))
    changed = unit.read_text().replace("CPUWeight=20", "CPUWeight=90")
    unit.write_text(changed)
    error = error_of(run(*([command, photos] if command == "install" else [command])))
    assert isinstance(error, EnvironmentUnfit)
    assert "changed by hand" in str(error)
    assert unit.read_text() == changed
    assert "changed by hand" in output_of(run("status"))


def test_a_unit_of_another_program_is_left_alone(photos: Path, unit: Path) -> None:
    unit.parent.mkdir(parents=True)
    unit.write_bytes(b"[Service]\nExecStart=/bin/true\n# \xff\n")
    error_of(run("install", photos))
    assert b"/bin/true" in unit.read_bytes()


def test_status_prints_the_managers_report(photos: Path, calls: Path) -> None:
    assert "Not installed" in output_of(run("status"))
    output_of(run("install", photos))
    output = output_of(run("status"))
    assert "(unchanged)" in output
    assert "ActiveState=active" in output


def test_status_without_a_manager_says_so(photos: Path) -> None:
    output_of(run("install", photos))
    assert "cannot be reached" in output_of(run("status"))


def test_a_start_that_fails_is_an_error_with_the_managers_output(photos: Path, tmp_path: Path) -> None:
    program = tmp_path / "bin/systemctl"
    program.write_text('#!/bin/sh\n[ "$2" != restart ] || { echo Job failed. >&2; exit 1; }\n')
    program.chmod(0o755)
    error = error_of(run("install", photos))
    assert "Job failed." in str(error)
    assert "journalctl --user -u maclip" in str(error)


def test_a_configuration_folder_that_cannot_be_made_is_an_error(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "configuration").touch()
    assert "cannot be written" in str(error_of(run("install", photos)))


def test_the_launch_agent_goes_to_its_place(
    home: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    calls = tmp_path / "calls"
    (tmp_path / "bin/launchctl").write_text(f'#!/bin/sh\necho "$*" >> "{calls}"\n')
    (tmp_path / "bin/launchctl").chmod(0o755)
    output_of(run("install", photos))
    output_of(run("install", photos))
    agent = home / "Library/LaunchAgents/maclip.plist"
    load, unload = f"load -w {agent}", f"unload {agent}"
    assert calls.read_text().splitlines() == ["list", load, "list", unload, load]
    output_of(run("uninstall"))
    assert not agent.exists()
    assert "needs systemd" in str(error_of(run("install", photos, "--linger")))


def test_the_windows_task_is_imported_from_a_file_that_schtasks_reads(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    monkeypatch.setattr("sys.platform", "win32")
    manager = service_manager.of_this_platform()
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(service_manager, "of_this_platform", lambda: manager)
    monkeypatch.setattr(service_commands, "_native_platform", lambda: service_commands.DefinitionKind.WINDOWS)
    assert "schtasks /Create /TN maclip /XML" in output_of(run("install", photos))
    assert manager.definition.read_bytes().startswith(b"\xff\xfe")
    output_of(run("uninstall"))
    assert not manager.definition.exists()


def test_print_shows_the_inotify_limits_without_any_folder() -> None:
    assert "fs.inotify.max_user_watches" in output_of(run("print", "--for", "sysctl"))


def test_every_command_and_option_says_what_it_does() -> None:
    assert shutil.which("systemctl") is None
    for command in ("install", "uninstall", "status", "print"):
        assert len(output_of(run(command, "--help"))) > 100


def test_the_plugin_for_darktable_is_put_in_place_and_taken_away_alone(tmp_path: Path) -> None:
    lua = tmp_path / "configuration/darktable/lua"
    lua.mkdir(parents=True)
    (lua / "other.lua").write_text("return 1")
    output = output_of(run("install", "--darktable"))
    assert 'require "maclip"' in output
    plugin = lua / "maclip.lua"
    assert service_definition.is_unchanged(plugin.read_text())
    assert '"-m", "maclip_daemon" }' in plugin.read_text()
    assert not (lua.parent / "luarc").exists()
    (lua.parent / "luarc").write_text("require 'maclip'\n")
    assert "switched on" in output_of(run("install", "--darktable"))
    assert "luarc" in output_of(run("uninstall", "--darktable"))
    assert [path.name for path in lua.iterdir()] == ["other.lua"]
    assert "not installed" in output_of(run("uninstall", "--darktable"))


def test_a_plugin_that_was_changed_is_left_alone(tmp_path: Path, photos: Path) -> None:
    output_of(run("install", "--darktable"))
    plugin = tmp_path / "configuration/darktable/lua/maclip.lua"
    plugin.write_text(plugin.read_text() + "-- mine\n")
    assert "changed by hand" in str(error_of(run("install", "--darktable")))
    assert "changed by hand" in str(error_of(run("uninstall", "--darktable")))
    assert plugin.read_text().endswith("-- mine\n")
    assert isinstance(error_of(run("install", "--darktable", photos)), UsageError)


def test_the_plugin_calls_the_program_with_its_flags_whatever_they_hold() -> None:
    text = service_definition.darktable_plugin(config=Path('/a "b"\\\n/é.toml'))
    assert r'"--config", "/a \034b\034\092\010/\195\169.toml" }' in text


def test_the_service_has_a_network_only_where_a_setting_asks_for_it(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def network(*platform: str) -> set[str]:
        lines = output_of(run("print", photos, *platform)).splitlines()
        names = ("RestrictAddressFamilies=", "PrivateNetwork=", "IPAddressDeny=")
        return {line for line in lines if line.startswith(names)}

    monkeypatch.setattr(isolation, "obstacle", lambda *_: "")
    assert network() == {"RestrictAddressFamilies=AF_UNIX", "PrivateNetwork=yes"}
    monkeypatch.setenv("MACLIP_NOTIFY__URLS", '["json://localhost"]')
    opened = {"RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK"}
    assert network() == opened
    assert network("--for", "system") == opened


def test_start_and_stop_act_on_the_installed_service(photos: Path, calls: Path) -> None:
    output_of(run("install", photos))
    calls.unlink()
    assert "maclip service start" in output_of(run("stop"))
    output_of(run("start"))
    assert calls.read_text().splitlines() == [
        "systemctl --user stop maclip.service",
        "systemctl --user start maclip.service",
    ]


@pytest.mark.parametrize("command", ["start", "stop"])
def test_start_and_stop_need_an_installed_service(command: str, calls: Path) -> None:
    assert "maclip service install" in str(error_of(run(command)))
    assert not calls.exists()
