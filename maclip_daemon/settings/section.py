"""The base of the sections of `config.toml`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(gt=0)]


class SettingsSection(BaseModel):
    """One section: unknown keys are errors, and the text below a key describes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
