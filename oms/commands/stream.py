"""``zoms stream``: a recorded stream on a socket, for whoever subscribes."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Final

import typer

from oms.commands.options import CommandError, SettingsFile, say, say_json
from oms.commands.paper import Duration, Speed
from oms.interrupts import Interrupts

LINE_INTERVAL_S: Final = 2.0


class Reporter:
    """Says on stderr how a stream comes on, and ends it at the first interrupt."""

    def __init__(self, endpoint: str, interrupts: Interrupts) -> None:
        self._endpoint = endpoint
        self._interrupts = interrupts
        self._due = 0.0

    def __call__(self, counters: dict[str, float], state: str) -> bool:
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + LINE_INTERVAL_S
            if state == "waiting":
                self._say(f"waiting for subscribers on {self._endpoint}: {counters['subscribers']:.0f} so far")
            else:
                self._say(f"{counters['progress']:4.0%}  {counters['ticks']:,.0f} ticks")
        return not self._interrupts.count

    def _say(self, text: str) -> None:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def stream(
    file: Annotated[Path, typer.Argument(help="Recorded stream.")],
    endpoint: Annotated[
        str, typer.Option("--endpoint", help="Where to publish the ticks.", metavar="ENDPOINT")
    ] = "tcp://127.0.0.1:5555",
    speed: Speed = None,
    duration: Duration = None,
    subscribers: Annotated[
        int, typer.Option("--subscribers", help="Wait for this many before the start.", min=0, metavar="N")
    ] = 1,
    settings_file: SettingsFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was sent as JSON.")] = False,
) -> None:
    """Publish a recorded stream on a socket, outside any session."""
    import msgspec

    from oms.config import load_settings

    given = {"file": str(file), "speed": speed, "duration_s": duration}
    settings = load_settings(
        settings_file, {"replay": {name: value for name, value in given.items() if value is not None}}
    )
    if not endpoint.startswith(("tcp://", "ipc://")):
        raise CommandError(f"--endpoint {endpoint!r} is not like tcp://127.0.0.1:5555 or ipc:///path")
    from gateways.replay import replay_standalone

    with Interrupts() as interrupts:
        report = Reporter(endpoint, interrupts)
        summary = replay_standalone(settings, endpoint, subscribers=subscribers, report=report)
    for problem in summary.problems:
        sys.stderr.write(f"{problem}\n")
    if as_json:
        say_json(msgspec.to_builtins(summary))
    else:
        say(
            f"{summary.ticks:,} ticks of {summary.messages:,} messages ({summary.recorded_s:,.1f} s of the market) in "
            f"{summary.elapsed_s:,.1f} s, {summary.refused:,} refused"
        )
