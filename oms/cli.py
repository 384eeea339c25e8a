"""The ``zoms`` command. Every error is one clear line on stderr and exit status 1 (2: wrong usage)."""

from __future__ import annotations

import os
import sys
from typing import Final

import typer

from oms.commands import (
    adopt,
    algo,
    backtest,
    control,
    data,
    demo,
    doctor,
    download,
    firm,
    instrument,
    kill_switch,
    optimize,
    orders,
    paper,
    redefine,
    replay,
    sandbox,
    status,
    stored,
    stream,
    venue_check,
)
from oms.commands.options import OutputError, flush_output, say

TRACEBACK_VARIABLE: Final = "ZOMS_TRACEBACK"

app = typer.Typer(
    name="zoms",
    help="A low-latency order-management system for crypto trading.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(paper.paper)
app.command()(firm.firm)
app.command()(backtest.backtest)
app.add_typer(data.app, name="data")
app.command()(download.download)
app.command()(optimize.optimize)
app.command()(demo.demo)
app.command()(stream.stream)
app.command()(sandbox.sandbox)
app.command()(doctor.doctor)
app.command()(instrument.instrument)
app.command("venue-check")(venue_check.venue_check)
app.command()(status.status)
app.add_typer(orders.app, name="order")
app.add_typer(algo.app, name="algo")
app.add_typer(adopt.app, name="adopt")
app.command()(control.halt)
app.command()(control.resume)
app.command()(control.reduce)
app.command()(control.kill)
app.command("kill-switch")(kill_switch.kill_switch)
app.command()(redefine.redefine)
app.command()(stored.recorded)
app.command("orders")(stored.stored_orders)
app.command("fills")(stored.stored_fills)
app.command("positions")(stored.stored_positions)
app.command()(stored.journal)
app.command()(replay.replay)


@app.command()
def version() -> None:
    """Print the version of zoms and of what it runs on."""
    import platform
    from importlib.metadata import version as version_of

    libraries = ", ".join(f"{name} {version_of(name)}" for name in ("numba", "numpy", "pyzmq", "msgspec"))
    say(f"zoms {version_of('zoms')} (Python {platform.python_version()}, {libraries})")


def main() -> None:
    """Run the command line and exit."""
    try:
        try:
            app()
        finally:
            flush_output()  # later it would be no error of ours
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        drop_output()
        sys.exit(1)
    except Exception as error:  # the last border: whatever it is becomes one line
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        if isinstance(error, OutputError):
            drop_output()
        sys.stderr.write(f"zoms: {error_line(error)}\n")
        sys.exit(1)


def drop_output() -> None:
    """Let what has not been written to standard output yet go to nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def error_line(error: Exception) -> str:
    """An error in one line: its own message where zoms raised it, with its type where it comes from elsewhere."""
    text = " ".join(str(error).split())
    ours = type(error).__module__.partition(".")[0] in {"oms", "gateways", "strategies", "backtest", "rpc"}
    if ours and text:
        return text
    return f"{type(error).__name__}: {text} ({TRACEBACK_VARIABLE}=1 shows where)"


if __name__ == "__main__":
    main()
