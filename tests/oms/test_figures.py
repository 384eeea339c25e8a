"""Figures of a session from its events and heartbeats: exact amounts, totals over restarts, the end of a session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms.bus import Frame, Header
from oms.child import Child
from oms.config import Settings, load_settings
from oms.family import FAMILIES
from oms.figures import Figures, average_price_text
from oms.lifecycle import Heartbeat
from oms.records import (
    EVENT,
    BookState,
    EventKind,
    InstrumentState,
    OrderFlag,
    OrderState,
    Reason,
    RecordKind,
    Source,
    TradingState,
)


def make_settings() -> Settings:
    return load_settings(overrides={"replay": {"file": "x.gz"}})


FAMILY = FAMILIES["paper"]


def make_figures() -> Figures:
    children = {name: Child(name, ["true"], Path("x.log")) for name in FAMILY}
    for child in children.values():
        child.last_pid = 1
    return Figures(make_settings(), children)


def beat(figures: Figures, process: str, state: str = "ready", **counters: float) -> None:
    heard = figures.children[process].hear(
        Heartbeat(process=process, pid=1, ts=1, started_ts=1, state=state, rss_mb=50.0, counters=counters)
    )
    assert heard


def event_frame(*rows: dict[str, Any], seq: int = 0, lost: int = 0) -> Frame:
    records = np.zeros(len(rows), EVENT)
    for number, row in enumerate(rows):
        for name, value in row.items():
            records[number][name] = value
    header = Header(1, RecordKind.EVENT, Source.CORE, len(rows), 77, seq, 0)
    return Frame(header, records, lost)


POSITION_ROW = {
    "kind": EventKind.POSITION,
    "strategy": -1,
    "instrument": 0,
    "position_qty": -3,
    "px": 61_805_750_000_000,  # average price: 618,057.5 ticks
    "qty": 12_345,
    "last_px": 1_236_101,  # half ticks
    "last_qty": 4,
    "filled_qty": 2,
    "realized_pnl": -123_000_000,
    "fees": 1,
}


def test_position_event_becomes_exact_decimal_text() -> None:
    figures = make_figures()
    figures.take(event_frame(POSITION_ROW))
    position = figures.positions[0, 0, 0]
    assert position._asdict() == {
        "account": "paper",
        "instrument": "BTCUSDT.binance_usdm",
        "position_side": "",
        "currency": "USDT",
        "qty": "-0.003",
        "average_price": "61805.75",
        "mark_price": "61805.05",
        "realized_pnl": "-1.23",
        "unrealized_pnl": "0.00012345",
        "fees": "0.00000001",
        "fills": 4,
        "open_orders": 2,
    }


def test_strategies_positions_are_not_taken_for_the_accounts() -> None:
    figures = make_figures()
    figures.take(event_frame(POSITION_ROW, {**POSITION_ROW, "strategy": 0, "position_qty": 9}))
    assert [each.qty for each in figures.positions.values()] == ["-0.003"]


def test_accounts_stand_in_the_reporting_currency() -> None:
    figures = make_figures()
    unit = 10**8
    scope = {"kind": EventKind.SCOPE, "px": 3 * unit, "filled_qty": unit, "last_qty": 7 * unit, "realized_pnl": unit}
    figures.take(event_frame(scope, {**scope, "aux": 8, "px": 0}))
    (standing,) = figures.summary()["standings"]
    assert (standing["account"], standing["currency"], standing["pnl"], standing["day_pnl"]) == (
        "paper",
        "USDT",
        "3",
        "2",
    )
    assert (standing["gross_exposure"], standing["margin"]) == ("7", "1")


def test_a_currency_without_a_conversion_is_noted_at_the_start() -> None:
    settings = load_settings(overrides={"replay": {"file": "x.gz"}, "reporting_currency": "EUR"})
    assert "BTC, USDT cannot be converted to EUR" in Figures(settings, {}).notes[0][1]


def test_summary_shows_the_position_that_traded() -> None:
    figures = make_figures()
    figures.take(event_frame({**POSITION_ROW, "last_qty": 0, "position_qty": 0}, {**POSITION_ROW, "instrument": 1}))
    summary = figures.summary()
    assert summary["instrument"] == "BTCUSDT.binance_spot"
    assert summary["position"] == "-0.00003"
    assert [each["instrument"] for each in summary["positions"]] == ["BTCUSDT.binance_usdm", "BTCUSDT.binance_spot"]


def test_fill_names_its_owner() -> None:
    figures = make_figures()
    fill = {
        "kind": EventKind.ORDER_FILLED,
        "side": -1,
        "last_px": 618_057,
        "last_qty": 10,
        "liquidity": 1,
        "strategy": 0,
    }
    figures.take(event_frame(fill, {**fill, "strategy": -1, "side": 1, "liquidity": 2}))
    assert [(each.side, each.price, each.qty, each.liquidity, each.owner) for each in figures.fills] == [
        ("sell", "61805.7", "0.010", "maker", "market_maker"),
        ("buy", "61805.7", "0.010", "taker", "client"),
    ]


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (
            {"kind": EventKind.TRADING_STATE, "strategy": -1, "aux": TradingState.HALTED, "reason": Reason.RESTARTED},
            "trading is HALTED: RESTARTED",
        ),
        (
            {"kind": EventKind.TRADING_STATE, "strategy": 0, "aux": TradingState.REDUCING, "reason": Reason.DAILY_LOSS},
            "trading of strategy market_maker is REDUCING: DAILY_LOSS",
        ),
        ({"kind": EventKind.KILLED, "aux": 1}, "kill switch of account paper, its positions are being closed"),
        (
            {
                "kind": EventKind.INSTRUMENT,
                "px": 1,
                "aux": InstrumentState.EXPIRED,
                "reason": Reason.INSTRUMENT_EXPIRED,
            },
            "BTCUSDT.binance_usdm is EXPIRED in version 1: INSTRUMENT_EXPIRED",
        ),
        (
            {"kind": EventKind.HELD_ENDED, "order_id": 5, "state": OrderState.REJECTED, "reason": Reason.PRICE_COLLAR},
            "order 5 in BTCUSDT.binance_usdm was refused when its turn came: PRICE_COLLAR",
        ),
        (
            {"kind": EventKind.LEG_TURNED, "order_id": 5, "flags": OrderFlag.SHORT_LEG, "qty": 3},
            "a fill of order 5 has turned the short position of paper in BTCUSDT.binance_usdm over, to 0.003: "
            "close it with a reduce-only order",
        ),
        (
            {"kind": EventKind.FUNDING, "fees": 150_000_000},
            "funding of 1.5 USDT on BTCUSDT.binance_usdm, paper",
        ),
        ({"kind": EventKind.SETTLED}, "position of paper in BTCUSDT.binance_usdm was settled"),
        ({"kind": EventKind.ORDER_ADOPTED}, "an order of paper in BTCUSDT.binance_usdm was adopted"),
        (
            {"kind": EventKind.ORDER_ADOPTED, "reason": Reason.LIQUIDATION},
            "paper is liquidated in BTCUSDT.binance_usdm: its margin is used up",
        ),
        ({"kind": EventKind.POSITION_ADOPTED}, "the position of paper in BTCUSDT.binance_usdm was adopted"),
        (
            {"kind": EventKind.STRATEGY_HALTED, "strategy": 0, "reason": Reason.STRATEGY_EXCEPTION},
            "strategy market_maker halted: STRATEGY_EXCEPTION",
        ),
        (
            {"kind": EventKind.BOOK_STATE, "instrument": 1, "aux": BookState.STALE, "reason": Reason.SEQUENCE_GAP},
            "book of BTCUSDT.binance_spot STALE: SEQUENCE_GAP",
        ),
    ],
)
def test_state_events_become_notes(row: dict[str, Any], text: str) -> None:
    figures = make_figures()
    figures.take(event_frame(row))
    assert [note for _, note in figures.notes] == [text]


def test_trading_state_is_the_heartbeats() -> None:
    figures = make_figures()
    beat(figures, "core", trading_state=float(TradingState.HALTED))
    assert figures.trading_state is TradingState.HALTED


def test_log_event_is_written_in_the_strategys_own_words() -> None:
    figures = make_figures()
    log = {"kind": EventKind.LOG, "strategy": 0, "aux": 0, "px": -5, "qty": 618_057, "last_px": 7, "last_qty": 99}
    figures.take(event_frame(log, {**log, "aux": 9}))
    assert [line for _, line in figures.strategy_log] == [
        "market_maker: filled -5 lots at 618057 ticks, position 7, fee 99",
        "market_maker: log 9: -5 618057 7 99",
    ]


def test_session_is_over_when_every_tick_and_event_has_come() -> None:
    figures = make_figures()
    beat(figures, "gateway", ticks=100)
    beat(figures, "core", ticks=100, events=3)
    beat(figures, "recorder", ticks=100)
    figures.take(event_frame(POSITION_ROW, POSITION_ROW))
    assert not figures.caught_up(), "the gateway is not done"
    beat(figures, "gateway", "done", ticks=101)
    assert not figures.caught_up(), "a tick is on its way"
    beat(figures, "core", ticks=101, events=3)
    beat(figures, "recorder", ticks=100, ticks_lost=1)
    assert not figures.caught_up(), "an event is on its way"
    figures.take(event_frame(POSITION_ROW, seq=2))
    assert figures.caught_up()


def test_counters_add_up_over_restarts() -> None:
    figures = make_figures()
    beat(figures, "core", ticks=100, fills=3, tick_to_order_p50_us=80)
    figures.children["core"].carry()
    beat(figures, "core", ticks=50, fills=1, tick_to_order_p50_us=90)
    summary = figures.summary()
    assert (summary["ticks"], summary["fills"]) == (150, 4)
    assert summary["latency"]["tick_to_order"]["p50_us"] == 90


@given(st.integers(-(2**53), 2**53), st.integers(-(2**53), 2**53), st.integers(-(2**40), 2**40))
def test_amounts_survive_as_text_to_the_last_digit(realized: int, fees: int, lots: int) -> None:
    figures = make_figures()
    figures.take(event_frame({**POSITION_ROW, "realized_pnl": realized, "fees": fees, "position_qty": lots}))
    position = figures.positions[0, 0, 0]
    instrument = figures.settings.instruments[0]
    assert instrument.amount_to_cash(position.realized_pnl, "realized") == realized
    assert instrument.amount_to_cash(position.fees, "fees") == fees
    assert instrument.qty_to_lots(position.qty) == lots


def test_average_price_of_a_flat_position_is_zero() -> None:
    assert average_price_text(make_settings().instruments[0], 0) == "0"
