"""The page about market data: its commands and its Python are run as they stand."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from oms.cli import app
from tests.docs.pages import ROOT, blocks, console_commands

PAGE = ROOT / "docs/data.md"


LOCAL = [words for words in console_commands(PAGE) if words[:2] != ["zoms", "download"] and words[0] == "zoms"]
"""Those that ask nobody; ``test_download`` runs the other against a server of its own."""


@pytest.mark.parametrize("words", LOCAL, ids=" ".join)
def test_the_commands_run(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.chdir(ROOT)
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
