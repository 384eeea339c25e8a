"""What commands share: the line that says that something compiles."""

from __future__ import annotations

import sys

import pytest

from oms.commands.options import CLEAR_LINE, compile_line
from oms.compiled import Progress

STEPS = (Progress("core", 0, 2, 0.0), Progress("core", 1, 2, 1.5), Progress("", 2, 2, 9.0))
NOTHING = Progress("", 0, 0, 0.0)


@pytest.mark.parametrize(
    ("is_terminal", "anew", "steps", "said"),
    [
        (False, True, STEPS, ""),
        (True, True, (NOTHING,), ""),
        (True, True, STEPS[1:2], f"{CLEAR_LINE}compiling 1 of 2, 2 s  core{CLEAR_LINE}"),
        (True, False, STEPS, "compiling what is not in the cache yet\n"),
        (True, False, (NOTHING,), ""),
    ],
)
def test_compiling_is_said_on_a_terminal(
    is_terminal: bool,
    anew: bool,
    steps: tuple[Progress, ...],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    with compile_line(anew) as tell:
        for step in steps:
            tell(step)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", said)
