"""A backtest as a whole: its figures, its borders, and that nothing but the market decides its events."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from backtest.run import Backtest, BacktestError, backtest_file, drive, run_backtest, take_events
from gateways.lines import RecordingError
from gateways.recording import QUIET_NS, load_ticks
from oms.assembly import build_core
from oms.config import ConfigError, Settings, load_settings
from oms.core.state import EVENT_RING
from oms.engine import step_ticks
from oms.records import TICK, EventKind, Reason, TickKind
from strategies.loader import StrategyError
from tests.backtest.test_oracle import synthetic_ticks
from tests.backtest.venue import BOTH, MS, START_NS, STRATEGIES, instrument, settings_of

Rows = npt.NDArray[np.void]

DEMO: Final = Path(__file__).resolve().parents[2] / "gateways/recordings/usdm_btcusdt_20240808_60s.gz"
CUT_S: Final = 20.0
MODELS: Final = ("displayed", "no_partial_fill")


def demo_settings(**others: Any) -> Settings:
    """The shipped settings, market maker included."""
    return load_settings(None, {"replay": {"file": str(DEMO)}, **others})


@cache
def demo_ticks() -> Rows:
    return load_ticks(DEMO, demo_settings().instrument("BTCUSDT.binance_usdm"), duration_s=CUT_S)


@cache
def demo_backtest() -> Backtest:
    return run_backtest(demo_settings(), demo_ticks())


def busy_settings(model: str, latency_us: int, **parameters: float) -> Settings:
    """Settings in which a strategy does so much that the core's output fills up."""
    return settings_of(
        instrument(),
        matching={"model": model, "entry_latency_us": latency_us, "response_latency_us": latency_us},
        strategies=[{"file": str(STRATEGIES / "busy.py"), "instrument": "TEST0", "parameters": parameters}],
    )


def drive_in_frames(chosen: Settings, frames: list[Rows]) -> Rows:
    """Every event of a run in which the output is emptied after each frame."""
    st = build_core(chosen).st
    st[0]["scopes_untold"] = 1
    blocks = []
    for frame in frames:
        start = 0
        while start < len(frame):
            start = step_ticks(st, frame, start, 0)
            blocks.append(take_events(st))
    return np.concatenate(blocks)


# Figures


def test_the_figures_are_those_of_the_events() -> None:
    backtest = demo_backtest()
    figures = backtest.result
    fills = backtest.fills
    traded = figures.instruments[0]
    assert figures.ticks == len(demo_ticks())
    assert figures.orders == np.count_nonzero(backtest.events["kind"] == EventKind.ORDER_SUBMITTED)
    assert figures.fills == traded.fills == len(fills) > 0
    bought = fills["last_qty"][fills["side"] > 0].sum()
    sold = fills["last_qty"][fills["side"] < 0].sum()
    lot = Decimal("0.001")
    assert Decimal(traded.bought) == bought * lot
    assert Decimal(traded.sold) == sold * lot
    assert Decimal(traded.position) == (bought - sold) * lot
    assert Decimal(traded.fees) == Decimal(int(fills["fees"].sum())) / 10**8
    assert figures.recorded_s == pytest.approx(CUT_S, abs=0.2)
    assert figures.problems == ()


def test_cash_and_position_make_the_pnl() -> None:
    """Realized and unrealized PnL together are the cash flow of the fills and the position at the last mid price."""
    backtest = demo_backtest()
    fills = backtest.fills
    cash = -(fills["side"] * fills["last_px"] * fills["last_qty"]).sum() * Decimal("0.0001")
    book = backtest.core.st[0]["books"][0]
    mid = Decimal(int(book["best"].sum())) / 2 * Decimal("0.1")
    traded = backtest.result.instruments[0]
    pnl = Decimal(traded.realized_pnl) + Decimal(traded.unrealized_pnl)
    assert pnl == cash + Decimal(traded.position) * mid


def test_the_closing_figures_are_not_among_the_events() -> None:
    events = demo_backtest().events
    assert (events["seq"] == np.arange(len(events))).all()
    assert not ((events["kind"] == EventKind.POSITION) & (events["aux"] == 0)).any()


def test_a_result_is_json_and_back() -> None:
    result = demo_backtest().result
    assert msgspec.json.decode(msgspec.json.encode(result), type=type(result)) == result


def test_the_same_input_gives_the_same_events_byte_for_byte() -> None:
    again = run_backtest(demo_settings(), demo_ticks())
    assert again.events.tobytes() == demo_backtest().events.tobytes()


def test_no_ticks_give_an_empty_result() -> None:
    backtest = run_backtest(demo_settings(), np.zeros(0, TICK))
    assert (backtest.result.ticks, backtest.result.fills, len(backtest.events)) == (0, 0, 0)
    assert backtest.result.instruments[0].unrealized_pnl == "0"


def test_refused_requests_are_counted_by_reason() -> None:
    nothing = {"file": "market_maker", "instrument": "BTCUSDT.binance_usdm", "parameters": {"order_lots": 0.0}}
    result = run_backtest(demo_settings(strategies=[nothing]), demo_ticks()).result
    assert result.refusals == {Reason.QTY_BELOW_MIN.name: result.refused}
    assert result.refused > 0


def test_a_strategy_that_fails_is_a_problem_of_the_result() -> None:
    chosen = demo_settings(strategies=[{"file": str(STRATEGIES / "failing.py"), "instrument": "BTCUSDT.binance_usdm"}])
    result = run_backtest(chosen, demo_ticks()).result
    assert result.strategies_halted == 1
    assert len(result.problems) == 1
    assert result.problems[0].startswith("strategy failing failed at 2024-08-08T23:5")
    assert Reason.STRATEGY_EXCEPTION.name in result.problems[0]
    assert "NUMBA_DISABLE_JIT=1" in result.problems[0]


def test_a_run_of_which_one_strategy_failed_has_no_figures_of_any_instrument() -> None:
    strategies = [{"file": str(STRATEGIES / "failing.py"), "instrument": "BTCUSDT.binance_usdm"}]
    chosen = demo_settings(strategies=[*msgspec.to_builtins(demo_settings().strategies), *strategies])
    result = run_backtest(chosen, demo_ticks()).result
    assert result.fills > 0
    assert result.instruments == ()


# Files and clocks


def test_a_file_gives_what_its_ticks_give() -> None:
    backtest = backtest_file(demo_settings(), DEMO, duration_s=CUT_S)
    assert fill_rows(backtest.events) == fill_rows(demo_backtest().events)
    assert backtest.result.ticks >= len(demo_ticks())


def test_what_of_a_file_could_not_be_read_is_a_problem_of_the_result(tmp_path: Path) -> None:
    damaged = tmp_path / "usdm.txt"
    lines = _lines(DEMO)[:4_000]
    damaged.write_bytes(b"\n".join([*lines[:100], b"garbage", *lines[100:]]))
    problems = backtest_file(demo_settings(), damaged).result.problems
    assert any("usdm.txt.toml" in each for each in problems), "that there is no sidecar is said"
    assert any("MALFORMED" in each and ":101:" in each for each in problems)


def _lines(path: Path) -> list[bytes]:
    import gzip

    return gzip.decompress(path.read_bytes()).splitlines()


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"nothing_here\.gz"):
        backtest_file(demo_settings(), tmp_path / "nothing_here.gz")


def test_a_clock_that_is_not_there_is_refused() -> None:
    message = "unknown clock 'exchange': use local or dual"
    with pytest.raises(BacktestError, match=message):
        backtest_file(demo_settings(), DEMO, clock="exchange")
    with pytest.raises(BacktestError, match=message):
        run_backtest(demo_settings(), demo_ticks(), clock="exchange")


def test_two_clocks_give_other_fills_than_one_where_the_feed_takes_time_and_the_same_where_it_takes_none() -> None:
    two = run_backtest(demo_settings(), demo_ticks(), clock="dual")
    assert two.result.clock == "dual"
    assert two.result.ticks_refused == 0
    assert fill_rows(two.events) != fill_rows(demo_backtest().events)
    at_once = demo_ticks().copy()
    at_once["exch_ts"] = at_once["local_ts"]
    assert fill_rows(run_backtest(demo_settings(), at_once, clock="dual").events) == fill_rows(demo_backtest().events)


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown matching model 'magic': choose displayed, touch, no_partial_fill"):
        run_backtest(demo_settings(matching={"model": "magic"}), demo_ticks())


def test_an_unknown_parameter_is_refused() -> None:
    strategies = [{"file": "market_maker", "instrument": "BTCUSDT.binance_usdm", "parameters": {"speed": 1.0}}]
    with pytest.raises(StrategyError, match="no parameter 'speed'"):
        run_backtest(demo_settings(strategies=strategies), demo_ticks())


def test_events_that_found_no_room_end_a_backtest() -> None:
    core = build_core(settings_of(instrument()))
    core.st[0]["events_lost"] = 1
    with pytest.raises(BacktestError, match="1 events found the core's output full"):
        drive(core.st, synthetic_ticks(0, messages=1))


# What decides the events


def fill_rows(events: Rows) -> list[tuple[Any, ...]]:
    """The fills among events without their numbers: time, order, side, price, quantity, liquidity, fee."""
    fills = events[events["kind"] == EventKind.ORDER_FILLED]
    fields = ("ts", "order_id", "side", "last_px", "last_qty", "liquidity", "fees", "aux")
    return [tuple(row[name].item() for name in fields) for row in fills]


def cut(ticks: Rows, seed: int, longest: int) -> list[Rows]:
    """The ticks in frames of random sizes; cuts fall inside messages too."""
    rng = np.random.default_rng(seed)
    ends = np.cumsum(rng.integers(1, longest + 1, len(ticks)))
    return [part for part in np.split(ticks, ends[ends < len(ticks)]) if len(part)]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("latency_us", [0, 1_000, 7_000])
def test_frames_of_any_size_give_the_same_events(model: str, latency_us: int) -> None:
    ticks = synthetic_ticks(3, messages=1_500)
    chosen = busy_settings(model, latency_us)
    whole = drive_in_frames(chosen, [ticks])
    assert len(fill_rows(whole)) > 50
    for seed, longest in enumerate((1, 7, 300, 5_000)):
        assert drive_in_frames(chosen, cut(ticks, seed, longest)).tobytes() == whole.tobytes()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("latency_ms", [1, 2])
def test_the_moment_at_which_the_output_is_full_changes_nothing(model: str, latency_ms: int) -> None:
    """Answers, timers and ticks fall on the same ns here, so that any other order of taking them would show."""
    ticks = synthetic_ticks(5, messages=4_000)
    ticks["local_ts"] = START_NS + (ticks["local_ts"] - START_NS) // MS * MS
    chosen = busy_settings(model, 1_000 * latency_ms, log_lines=13)
    emptied_each_time = drive_in_frames(chosen, cut(ticks, 0, 1))
    emptied_when_full = drive(build_core(chosen).st, ticks)
    assert len(emptied_when_full) > 3 * EVENT_RING
    assert emptied_when_full.tobytes() == emptied_each_time.tobytes()


def time_record(ts: int) -> Rows:
    tick = np.zeros(1, TICK)
    tick["exch_ts"] = tick["local_ts"] = ts
    tick["kind"] = TickKind.TIME
    tick["flags"] = BOTH
    return tick


@settings(max_examples=10, deadline=None)
@given(
    model=some.sampled_from(MODELS),
    latency_us=some.sampled_from([0, 300, 1_000, 20_000]),
    seed=some.integers(0, 10**6),
    share=some.floats(0, 1),
)
def test_times_between_messages_change_no_fill(model: str, latency_us: int, seed: int, share: float) -> None:
    """A TIME record moves nothing but the clock, wherever between two messages it comes."""
    ticks = synthetic_ticks(seed % 7, messages=300)
    chosen = busy_settings(model, latency_us)
    rng = np.random.default_rng(seed)
    before = np.flatnonzero(np.diff(ticks["local_ts"]) > 1)
    before = before[rng.random(len(before)) < share]
    low, high = ticks["local_ts"][before] + 1, ticks["local_ts"][before + 1]
    times = np.concatenate([np.zeros(0, TICK), *(time_record(int(ts)) for ts in rng.integers(low, high))])
    more = np.insert(ticks, before + 1, times)
    assert len(more) == len(ticks) + len(before)
    plain = drive_in_frames(chosen, [ticks])
    assert drive_in_frames(chosen, cut(more, seed, 50)).tobytes() == plain.tobytes()


def test_quiet_times_change_no_fill_of_the_market_maker() -> None:
    traded = demo_settings().instrument("BTCUSDT.binance_usdm")
    with_times = load_ticks(DEMO, traded, duration_s=CUT_S, quiet_times=True)
    every_ms = np.arange(demo_ticks()["local_ts"][0] + 1, demo_ticks()["local_ts"][-1], QUIET_NS // 100)
    times = np.concatenate([time_record(int(ts)) for ts in every_ms])
    at = np.searchsorted(demo_ticks()["local_ts"], times["local_ts"], side="right")
    crowded = np.insert(demo_ticks(), at, times)
    for ticks in (with_times, crowded):
        assert fill_rows(run_backtest(demo_settings(), ticks).events) == fill_rows(demo_backtest().events)
