"""`maclip config`: print the settings, write a commented file, check it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maclip_daemon.cli import invocation
from maclip_daemon.cli.printing import output
from maclip_daemon.files.paths import expanded

if TYPE_CHECKING:
    from maclip_daemon.settings import Settings

group = typer.Typer(no_args_is_help=True, help="Show, create and check the configuration.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="config")


@group.command()
def path(context: typer.Context) -> None:
    """Print the path of the configuration file, whether it exists or not."""
    output.say(str(_path(context)))


@group.command()
def show(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of TOML.")] = False,
) -> None:
    """Print every setting with its present value: from the file, the environment, a flag, or the default."""
    settings = invocation.from_context(context).settings()
    if as_json:
        output.print_json(settings.model_dump(mode="json"))
    else:
        output.say(_toml(settings.model_dump(mode="json"), commented=False))


@group.command()
def init(
    context: typer.Context,
    print_only: Annotated[bool, typer.Option("--print", help="Print it instead of writing it.")] = False,
) -> None:
    """Write a configuration file that explains every setting. All lines are commented out."""
    from maclip_daemon.errors import EnvironmentUnfit
    from maclip_daemon.settings import Settings

    text = _toml(Settings.model_construct().model_dump(mode="json"), commented=True)
    if print_only:
        output.say(text)
        return
    target = _path(context)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as file:
            file.write(text + "\n")
    except FileExistsError:
        raise EnvironmentUnfit(
            f"{target} exists already and was not changed. `maclip config init --print` prints a new one."
        ) from None
    except OSError as error:
        raise EnvironmentUnfit(f"{target} cannot be written: {error.strerror}.") from None
    output.say(f"Wrote {target}. Every line is a comment until you remove its #.")


@group.command()
def validate(context: typer.Context) -> None:
    """Check the configuration. Every wrong setting is named."""
    settings = invocation.from_context(context).settings()
    _check_names(settings, _path(context))
    missing = [str(folder) for folder in settings.folders.paths if not expanded(folder).is_dir()]
    output.say(f"{_path(context)}: valid.")
    for folder in missing:
        output.say(f"Note: the folder {folder} does not exist now. Check the spelling, or connect its disk.")


def _check_names(settings: Settings, path: Path) -> None:
    """Raise `ConfigurationError` for an unknown metric, model or protocol; weights may be missing."""
    from maclip_daemon.errors import ConfigurationError, UsageError
    from maclip_daemon.iqa import metrics, protocols
    from maclip_daemon.iqa.models import catalogue

    scoring = settings.scoring
    checks: dict[str, Callable[[], object]] = {
        "scoring.metric": lambda: metrics.parse(scoring.metric),
        "scoring.model": lambda: catalogue.check_name(scoring.model, settings.data_dir),
        "scoring.protocol": lambda: scoring.protocol == "auto" or protocols.parse(scoring.protocol),
    }
    problems = []
    for key, check in checks.items():
        try:
            check()
        except UsageError as error:
            problems.append(f"{key}: {error}")
    if problems:
        raise ConfigurationError(f"{' '.join(problems)} Change it in {path}, or in the MACLIP_ variables.")


def _path(context: typer.Context) -> Path:
    from maclip_daemon.settings import default_config_path

    given = invocation.from_context(context).config
    return Path(os.path.abspath(expanded(given))) if given else default_config_path()


def _toml(values: dict[str, object], *, commented: bool) -> str:
    """Return the settings as TOML with their descriptions; unset ones are always comments."""
    import tomlkit

    from maclip_daemon.settings import setting_descriptions

    lines: list[str] = []
    current_section = ""
    for section, key, description in setting_descriptions():
        if section != current_section:
            lines += ["", f"[{section}]"]
            current_section = section
        keys = values[section] if section else values
        assert isinstance(keys, dict)
        value = keys[key]
        lines += [f"# {line}" for line in description.splitlines()]
        if value is None:
            lines.append(f"# {key} =")
        else:
            lines.append(("# " if commented else "") + f"{key} = {tomlkit.item(value).as_string()}")
    return "\n".join(lines)
