"""Runs ``zoms`` commands within a test's process."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from oms import cli


class Outcome(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def last_json(self) -> Any:
        return json.loads(self.out.strip().splitlines()[-1])


class Zoms:
    """Runs ``zoms`` commands in this process on a data folder of their own."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def __call__(self, *arguments: str) -> Outcome:
        self._monkeypatch.setenv("ZOMS_HOME", os.fspath(self.folder))
        self._monkeypatch.setattr(sys, "argv", ["zoms", *arguments])
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = self._capsys.readouterr()
        status = ended.value.code
        assert status is None or isinstance(status, int)
        return Outcome(status or 0, captured.out, captured.err)
