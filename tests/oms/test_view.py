"""The live view and its stand-ins: what they show, and that they fit the terminal."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from oms.config import load_settings
from oms.lifecycle import Heartbeat
from oms.records import EventKind, Reason, TradingState
from oms.session import TradingSession
from oms.view import LineView, LiveView, new_view, no_orders_text, render, save_picture, status_line
from tests.firm.settings import BOTH, firm_settings
from tests.oms.test_figures import POSITION_ROW, event_frame


@pytest.fixture
def session(tmp_path: Path) -> Iterator[TradingSession]:
    """A session whose processes were not started, with a position, fills, a client and heartbeats."""
    settings = load_settings(overrides={"replay": {"file": "stream.gz"}, "data_dir": os.fspath(tmp_path)})
    with TradingSession(settings) as session:
        for name, child in session.supervisor.children.items():
            child.last_pid = 7
            counters = {"ticks": 12_345.0, "trading_state": float(TradingState.ACTIVE), "progress": 0.5}
            beat = Heartbeat(process=name, pid=7, ts=1, started_ts=1, state="ready", rss_mb=99.0, counters=counters)
            assert child.hear(beat)
        session.supervisor.complete = True
        fill = {"kind": EventKind.ORDER_FILLED, "side": 1, "last_px": 618_057, "last_qty": 10, "liquidity": 1}
        session.figures.take(event_frame(POSITION_ROW, *[fill] * 12))
        session.figures.client_lines.extend(f"client line {number}" for number in range(12))
        yield session


def text_of(session: TradingSession, height: int) -> list[str]:
    console = Console(file=io.StringIO(), width=100, height=height, record=True)
    console.print(render(session, height))
    return console.export_text().splitlines()


@pytest.mark.parametrize("height", [24, 30, 40, 44, 60])
def test_live_view_fits_the_terminal(session: TradingSession, height: int) -> None:
    lines = text_of(session, height)
    assert len(lines) < height
    assert all(len(line) <= 100 for line in lines)


def test_live_view_shows_figures_processes_fills_and_client(session: TradingSession) -> None:
    text = "\n".join(text_of(session, 60))
    for shown in ("12,345", "61,805.75", "-1.23", "recorder", "61805.7", "client line 11", "50%", "ACTIVE"):
        assert shown in text, shown


def test_small_terminal_keeps_the_log(session: TradingSession) -> None:
    session.figures.note("book of BTCUSDT STALE")
    assert "book of BTCUSDT STALE" in "\n".join(text_of(session, 24))


def test_status_line_is_one_line_with_the_figures(session: TradingSession) -> None:
    line = status_line(session)
    assert "\n" not in line
    for shown in ("50%", "ticks 12,345", "position -0.003", "realized -1.23"):
        assert shown in line, shown


def test_status_line_says_what_was_refused_of_the_input(session: TradingSession) -> None:
    assert "bad input" not in status_line(session)
    for name, counter in (("gateway", "refused"), ("core", "malformed")):
        child = session.supervisor.children[name]
        assert child.heartbeat is not None
        child.heartbeat.counters[counter] = 1_000.0
    assert "bad input 2,000" in status_line(session)


def test_status_line_says_what_is_waited_for(session: TradingSession) -> None:
    session.supervisor.complete = False
    core = session.supervisor.children["core"]
    core.hear(
        Heartbeat(
            process="core",
            pid=7,
            ts=1,
            started_ts=1,
            state="compiling",
            rss_mb=99.0,
            counters={"compiled": 2.0, "to_compile": 6.0},
        )
    )
    assert "waiting for" in status_line(session)


def test_venues_that_take_no_orders_are_named_beside_those_that_do(tmp_path: Path) -> None:
    with TradingSession(firm_settings(tmp_path, served=BOTH)) as session:
        session.supervisor.complete = True
        for name, child in session.supervisor.children.items():
            child.last_pid = 7
            counters = {"trades": float(child.venue != "okx")}
            child.hear(Heartbeat(process=name, pid=7, ts=1, started_ts=1, state="ready", rss_mb=9.0, counters=counters))
        symbols = ("BTCUSDT.binance_usdm", "BTC-USDT-SWAP.okx")
        session.figures.entry |= dict(zip(symbols, (Reason.NONE, Reason.NOT_RECONCILED), strict=True))
        assert no_orders_text(session) == "no new orders leave for okx (NOT_RECONCILED)"
        assert no_orders_text(session) in status_line(session)
        lines = text_of(session, 30)
        assert len(lines) < 30
        assert any("orders.okx" in line for line in lines)


def test_output_that_is_no_terminal_gets_lines() -> None:
    assert isinstance(new_view(io.StringIO()), LineView)


def test_terminal_gets_the_live_view() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert isinstance(new_view(Terminal()), LiveView)


def test_live_view_leaves_nothing_behind(session: TradingSession) -> None:
    stream = io.StringIO()
    view = LiveView(stream)
    with view.shown(session) as show:
        show()
    assert view.console.file is stream


def test_picture_is_an_svg_of_the_view(session: TradingSession, tmp_path: Path) -> None:
    path = tmp_path / "view.svg"
    save_picture(session, path)
    content = path.read_text()
    assert content.startswith("<svg")
    assert "61,805.75" in content
