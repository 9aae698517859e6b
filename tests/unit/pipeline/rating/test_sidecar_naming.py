from __future__ import annotations

from pathlib import Path

import pytest

from maclip_daemon.metadata.managers.digikamrc import DigikamSettings
from maclip_daemon.pipeline.rating.sidecar_naming import asked_name

FULL = DigikamSettings(Path("digikamrc"), reads_sidecars=True)
STEM = DigikamSettings(Path("digikamrc"), reads_sidecars=True, compatible_file_name=True)
BLIND = DigikamSettings(Path("digikamrc"), compatible_file_name=True)


@pytest.mark.parametrize(
    ("digikams", "name"),
    [([], None), ([BLIND], None), ([FULL], "full"), ([STEM], "stem"), ([FULL, STEM], "stem")],
)
def test_a_digikam_that_reads_sidecars_names_them(digikams: list[DigikamSettings], name: str | None) -> None:
    assert asked_name("auto", digikams) == name
    assert asked_name("full", digikams) == "full"
    assert asked_name("stem", digikams) == "stem"
