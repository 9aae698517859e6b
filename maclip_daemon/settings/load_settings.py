"""Reads the settings from the TOML file, the environment and the flags, and says what is wrong with them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError, model_validator
from pydantic_settings import SettingsConfigDict, SettingsError

from maclip_daemon.errors import ConfigurationError, EnvironmentUnfit
from maclip_daemon.settings.all_settings import Settings, default_config_path

# (section, old key): new key. The old one is accepted for one version.
RENAMED = {("folders", "answer_s"): "filesystem_timeout_s"}


def load(config_path: Path | None = None, flags: Mapping[str, Any] | None = None) -> Settings:
    """Return the validated settings.

    `config_path`: a file that must exist; None: the default path, where the file may be missing.
    `flags`: values of command-line flags, nested by section; they win over everything.
    Raises `ConfigurationError` that names the file and every bad key, `EnvironmentUnfit` when the file cannot
    be read.
    """
    path = config_path or default_config_path()
    if config_path is not None and not path.is_file():
        raise ConfigurationError(
            f"The configuration file {path} does not exist. `maclip config init` writes one."
        )

    hints: list[str] = []

    class FromThisFile(Settings):
        model_config = SettingsConfigDict(toml_file=path)

        @model_validator(mode="before")
        @classmethod
        def _accept_old_names(cls, values: dict[str, Any]) -> dict[str, Any]:
            hints.extend(_rename_old_keys(values))
            return values

    try:
        loaded = FromThisFile(**dict(flags or {}))
    except ValidationError as error:
        problems = "; ".join(_describe(problem) for problem in error.errors())
        raise ConfigurationError(
            f"{problems}. Change it in {path}, in the MACLIP_ variables, or on the command line."
        ) from None
    except SettingsError as error:
        section = re.search('field "(.+?)"', str(error))
        variable = f"MACLIP_{section[1].upper()}" if section else "MACLIP_"
        raise ConfigurationError(
            f"A variable {variable}… has a value that cannot be read. Lists are JSON, for example "
            """MACLIP_FOLDERS__PATHS='["/photos"]'."""
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is no text in UTF-8. Save it as such, or write it anew.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}.") from None
    except OSError as error:
        raise EnvironmentUnfit(f"{path} cannot be read: {error.strerror}. Check its permissions.") from None
    loaded._hints = tuple(hints)
    return loaded


def _rename_old_keys(values: dict[str, Any]) -> list[str]:
    """Move renamed keys of `values` to their new names; return a hint for each. New names win."""
    hints = []
    for (section, old), new in RENAMED.items():
        keys = values.get(section)
        if isinstance(keys, dict) and old in keys:
            values[section] = {new: keys[old]} | {key: value for key, value in keys.items() if key != old}
            hints.append(
                f"the setting {section}.{old} is now called {section}.{new}. Rename it in the configuration; "
                "the next version will not accept the old name."
            )
    return hints


def _describe(problem: Any) -> str:
    """Return one problem of pydantic's in a sentence: the setting, the rule, the value."""
    where = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"there is no setting {where} (`maclip config init --print` lists them all)"
    match problem["type"]:
        case "missing":
            return f"{where} is missing"
        case "model_type":
            return f"{where} must be a section of the file ([{where}]), not {problem['input']!r}"
        case "value_error":
            return f"{where} {problem['msg'].removeprefix('Value error, ')}"
    rule = problem["msg"].replace("Input should be", "must be")
    is_secret = where.startswith(("notify.urls", "notify.health_url"))  # never printed
    shown = "" if is_secret else f", not {problem['input']!r}"
    return f"{where} {re.split(', (?:unable|got)', rule)[0]}{shown}"
