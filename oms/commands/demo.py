"""``zoms demo``: a minute of paper trading with a client of its own, and what to try next."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from oms.commands.options import CommandError, DataDir, say, say_json
from oms.commands.paper import print_summary, session_settings

if TYPE_CHECKING:
    from oms.config import Settings
    from oms.session import TradingSession

RECORDING: Final = "usdm_btcusdt_20240808_60s.gz"
DEFAULT_FOLDER: Final = "var/demo"
DURATION_S: Final = 60.0
PAUSE_S: Final = 3.0
"""Of recorded time, between two steps of the client."""


class ClientProcess:
    """The demo's client: started when the session takes orders, its lines passed on as they come."""

    def __init__(self, session: TradingSession, pause_s: float, say_line: Callable[[str], None]) -> None:
        self._session = session
        self._pause_s = pause_s
        self._say_line = say_line
        self._process: subprocess.Popen[bytes] | None = None
        self._partial = b""
        self.problem = ""

    def step(self) -> None:
        """Start it when it is time, pass its lines on, and notice when it has ended."""
        session = self._session
        if self._process is None:
            if session.supervisor.complete and not session.supervisor.stopping:
                self._start()
            return
        self._pass_lines_on()

    def stop(self) -> None:
        """End it, if it has not ended by itself, and take its last lines."""
        if self._process is None:
            self.problem = "the client was never started"
            return
        if self._process.poll() is None and self._session.supervisor.stop_reason:
            self._process.terminate()
        status = self._process.wait()
        self._pass_lines_on()
        if status > 0:
            self.problem = f"the client ended with exit status {status}: {self._log.read_text().strip()}"

    @property
    def _log(self) -> Path:
        return self._session.settings.run_dir / "client.log"

    def _start(self) -> None:
        from oms.config import SESSION_FILE

        session_file = self._session.settings.run_dir / SESSION_FILE
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "oms.demo", os.fspath(session_file), str(self._pause_s)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        if self._process.stdout is not None:
            os.set_blocking(self._process.stdout.fileno(), False)

    def _pass_lines_on(self) -> None:
        if self._process is None or self._process.stdout is None:
            return
        *lines, self._partial = (self._partial + (self._process.stdout.read() or b"")).split(b"\n")
        for line in lines:
            text = line.decode(errors="replace")
            self._session.figures.client_lines.append(text)
            self._say_line(f"client: {text}")


def demo_recording() -> Path:
    """The recording that zoms carries."""
    import gateways

    path = Path(gateways.__path__[0]) / "recordings" / RECORDING
    if not path.is_file():
        raise CommandError(f"the demo's recording {path} is missing: install zoms anew")
    return path


def free_endpoint(endpoint: str) -> str:
    """``endpoint``, or one with a free port where its port is in use: the demo runs beside another session."""
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError:
            probe.bind((host, 0))
        return f"tcp://{host}:{probe.getsockname()[1]}"


def demo_settings(speed: str, duration: float, data_dir: Path | None) -> Settings:
    """The demo's settings: the shipped ones, the carried recording, data in ``var/demo`` or ``$ZOMS_HOME``.

    The client has an account of its own, like the strategy's: within one account they could not trade with each other.
    """
    import msgspec

    from oms.config import DATA_DIR_VARIABLE
    from oms.demo import ACCOUNT as CLIENT_ACCOUNT

    folder = data_dir or Path(os.environ.get(DATA_DIR_VARIABLE, "") or DEFAULT_FOLDER)
    settings = session_settings(
        settings_file=None,
        replay=demo_recording(),
        speed=speed,
        duration=duration,
        account=None,
        data_dir=folder,
        strategy=None,
        instrument=None,
        parameters=None,
        no_strategy=False,
    )
    accounts = {**settings.accounts, CLIENT_ACCOUNT: settings.accounts[settings.account]}
    return msgspec.structs.replace(settings, rpc_endpoint=free_endpoint(settings.rpc_endpoint), accounts=accounts)


def demo(
    speed: Annotated[str, typer.Option("--speed", help="A factor of recorded time.", metavar="FACTOR")] = "1",
    duration: Annotated[
        float, typer.Option("--duration", help="Seconds of the recording.", metavar="SECONDS")
    ] = DURATION_S,
    data_dir: DataDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON, on the last line.")] = False,
    picture: Annotated[
        Path | None,
        typer.Option("--picture", help="Save the live view, as it last was, to an SVG file.", metavar="FILE"),
    ] = None,
) -> None:
    """Watch a minute of paper trading: a market maker, and a client that trades through rpc."""
    from oms.session import TradingSession
    from oms.view import new_view, with_picture

    if speed == "max":
        raise CommandError("--speed max leaves the client no time: give a factor such as 1 or 10")
    settings = demo_settings(speed, duration, data_dir)
    view = new_view(sys.stderr if as_json else sys.stdout)
    with TradingSession(settings, listen=lambda line: view.say(line.text)) as session:
        client = ClientProcess(session, PAUSE_S / float(speed), view.say)
        with view.shown(session) as show:

            def show_both() -> None:
                client.step()
                show()

            well = session.run(with_picture(session, show_both, picture), view.interval_s)
            client.stop()
        summary = session.summary()
        lines = list(session.figures.client_lines)
    if client.problem:
        summary["problems"].append(client.problem)
    if as_json:
        say_json(summary)
    else:
        print_end(summary, lines, settings)
    if not well or client.problem:
        raise typer.Exit(1)


def print_end(summary: dict[str, Any], client_lines: list[str], settings: Settings) -> None:
    """The summary, what the client did, where the data lies, and what to try next."""
    say("What the client did, through rpc:")
    for line in client_lines:
        say(f"  {line}")
    print_summary(summary)
    folder = os.path.relpath(settings.account_dir.parent)
    replay = os.path.relpath(settings.replay.file)
    say("\nTry next:")
    say(f"  zoms recorded --data-dir {folder}  (and orders, fills, positions, journal)")
    say(f"  zoms paper --replay {replay} --speed max --json")
    say(f"  zoms backtest {replay} --clock local")
    say("  docs/getting-started.md: orders by hand, your own strategy")
