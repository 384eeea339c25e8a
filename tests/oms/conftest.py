"""The command line for every test of the product's centre."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.oms.command_line import Zoms


@pytest.fixture
def zoms(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Zoms:
    return Zoms(tmp_path, capsys, monkeypatch)
