"""The page about market data: its commands and its Python are run as they stand."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from oms.cli import app
from tests.docs.pages import ROOT, blocks, console_commands

PAGE = ROOT / "docs/data.md"


@pytest.mark.parametrize("words", console_commands(PAGE), ids=" ".join)
def test_the_commands_run(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.chdir(ROOT)
    assert words[0] == "zoms"
    done = CliRunner().invoke(app, words[1:])
    assert done.exit_code == 0, done.output


def test_the_python_runs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    streamed, resampled = blocks(PAGE, "python")
    exec(streamed, {})
    ticks, problems = capsys.readouterr().out.splitlines()[0].split()
    assert int(ticks) > 3_000
    assert problems == "()"
    exec(resampled, {})
    assert capsys.readouterr().out.split() == [str(60 * 10**9), "1439", "24"]
