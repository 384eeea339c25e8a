"""The market maker of hftbacktest's known answer in both engines, over the same rows, on two clocks, in one process.

Every 100 ms it cancels its orders and quotes 10 lots post-only at both touches, while its position is within 50 lots;
latency is 10 ms each way, the queue is risk-averse, nothing fills in part. Steps, orders, trades, position, balance and
fee must be equal, or the benchmark fails. The rows are those of a recording that zoms reads, or of an hftbacktest file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from backtest.run import set_exchange_rows, time_record
from benchmarks._events import event_rows, ticks_of
from benchmarks._market import RECORDING, WIDE_ACCOUNT
from oms.assembly import build_core
from oms.config import Settings, load_settings
from oms.core.state import clear_outputs
from oms.engine import step_ticks
from oms.instruments import Instrument
from oms.records import CASH_SCALE, TickKind

Rows = npt.NDArray[np.void]

REPEATS: Final = 9
STRATEGY: Final = Path(__file__).resolve().parent.parent / "tests" / "backtest" / "strategies" / "requote.py"
LATENCY_NS: Final = 10_000_000
STEP_NS: Final = 100_000_000
FEES: Final = ("0.0002", "0.0007")
KNOWN: Final = {"usdm_btcusdt_20240808.gz": (3_448, 5_737, 327, -30, 1827.267, 40.3588394)}
"""What hftbacktest's documentation of rules gives for a recording: steps, orders, trades, lots, balance, fee."""


class Answer(NamedTuple):
    """What a run came to."""

    steps: int
    orders: int
    trades: int
    position: int
    """Lots."""
    balance: float
    fee: float


class Streams(NamedTuple):
    """The same rows for both engines."""

    rows: Rows
    """hftbacktest's events."""
    local: Rows
    """TICK records in the order of receipt."""
    exchange: Rows
    """TICK records in the exchange's order."""


def instrument_of(tick_size: str, lot_size: str, *, inverse: bool, contract: str) -> Instrument:
    """The instrument that the rows are of."""
    kind = "inverse_perpetual" if inverse else "linear_perpetual"
    return Instrument(
        id=0,
        symbol="RECORDED",
        venue="binance_coinm" if inverse else "binance_usdm",
        kind=kind,
        base="BTC",
        quote="USD" if inverse else "USDT",
        tick=tick_size,
        lot=lot_size,
        multiplier=contract,
        maker_fee_rate=FEES[0],
        taker_fee_rate=FEES[1],
        max_leverage="100",
    )


def settings_for(instrument: Instrument) -> Settings:
    """A core with the market maker on the instrument, and limits that nothing reaches."""
    import msgspec

    currency = instrument.settlement
    limits = {
        "max_order_qty": "1000000",
        "max_order_notional": "10000000000",
        "price_collar": "0.5",
        "max_position": "1000000",
        "max_open_orders": 1_000,
        "max_orders_per_second": 1_000_000,
        "max_book_age_ms": 3_600_000,
        "duplicate_window_ms": 0,
    }
    return load_settings(
        None,
        {
            "replay": {"file": "none"},
            "matching": {
                "model": "no_partial_fill",
                "entry_latency_us": LATENCY_NS // 1_000,
                "response_latency_us": LATENCY_NS // 1_000,
            },
            "reporting_currency": currency,
            "instruments": [msgspec.to_builtins(instrument)],
            "risk": {f"{instrument.symbol}.{instrument.venue}": limits},
            "accounts": {"paper": {**WIDE_ACCOUNT, "balances": {f"{instrument.venue}.{currency}": "1000000000"}}},
            "strategies": [{"file": str(STRATEGY), "instrument": instrument.symbol}],
        },
    )


def read_streams(path: Path, instrument: Instrument, inverse: bool) -> Streams:
    """The rows of a file for both engines: an hftbacktest file, or a recorded stream.

    A Binance futures stream is taken as hftbacktest's own converter gives it, another one as zoms reads it.
    """
    if path.suffix == ".npz":
        with np.load(path) as stored:
            rows = stored[stored.files[0]]
    else:
        from gateways.sidecar import open_recording

        recording = open_recording(path)
        if recording.venue in ("binance_usdm", "binance_coinm"):
            rows = _converted(path)
        else:
            rows = event_rows(_read(path, recording.symbol, recording.venue, instrument), instrument)
    return Streams(rows, *ticks_of(rows, instrument))


def _converted(path: Path) -> Rows:
    from contextlib import redirect_stdout
    from io import StringIO

    from hftbacktest.data.utils.binancefutures import convert

    with redirect_stdout(StringIO()):
        rows: Rows = convert(str(path), buffer_size=20_000_000)
    return rows


def _read(path: Path, symbol: str, venue: str, instrument: Instrument) -> Rows:
    """A recorded stream as zoms reads it, from its snapshot on."""
    from gateways.recording import load_ticks

    kinds = {"binance_spot": "spot"}
    own = Instrument(
        id=0,
        symbol=symbol,
        venue=venue,
        kind=kinds.get(venue, instrument.kind),
        base=instrument.base,
        quote=instrument.quote,
        tick=instrument.tick,
        lot=instrument.lot,
        multiplier=instrument.multiplier,
    )
    ticks = load_ticks(path, own)
    return ticks[np.flatnonzero(ticks["kind"] == TickKind.SNAPSHOT)[0] :]


def _oracle(rows: Rows, instrument: Instrument, inverse: bool) -> Callable[[], tuple[Answer, float]]:
    """hftbacktest over the rows, its book a vector around the prices that are traded; seconds beside the answer."""
    from hftbacktest import GTX, LIMIT, TRADE_EVENT, BacktestAsset, ROIVectorMarketDepthBacktest

    tick, lot = float(instrument.tick), float(instrument.lot)
    traded = rows["px"][(rows["ev"] & 0xFF) == TRADE_EVENT]
    low, high = 0.5 * float(traded.min()), 1.5 * float(traded.max())

    @numba.njit  # type: ignore[untyped-decorator]
    def quote(hbt: Any) -> tuple[int, int]:  # pragma: no cover
        steps = 0
        order_id = 0
        while hbt.elapse(STEP_NS) == 0:
            steps += 1
            orders = hbt.orders(0).values()
            while orders.has_next():
                order = orders.get()
                if order.cancellable:
                    hbt.cancel(0, order.order_id, False)
            hbt.clear_inactive_orders(0)
            depth = hbt.depth(0)
            held = round(hbt.position(0) / lot)
            if held < 50:
                order_id += 1
                hbt.submit_buy_order(0, order_id, depth.best_bid, 10 * lot, GTX, LIMIT, False)
            if held > -50:
                order_id += 1
                hbt.submit_sell_order(0, order_id, depth.best_ask, 10 * lot, GTX, LIMIT, False)
        return steps, order_id

    def run() -> tuple[Answer, float]:
        asset = BacktestAsset().data(rows)
        contract = float(instrument.multiplier)
        asset = asset.inverse_asset(contract) if inverse else asset.linear_asset(contract)
        asset = (
            asset.constant_order_latency(LATENCY_NS, LATENCY_NS)
            .risk_adverse_queue_model()
            .no_partial_fill_exchange()
            .trading_value_fee_model(*map(float, FEES))
            .tick_size(tick)
            .lot_size(lot)
            .roi_lb(low)
            .roi_ub(high)
            .last_trades_capacity(0)
        )
        hbt = ROIVectorMarketDepthBacktest([asset])
        start = time.perf_counter()
        steps, orders = quote(hbt)
        elapsed_s = time.perf_counter() - start
        values = hbt.state_values(0)
        answer = Answer(
            steps, orders, values.num_trades, round(values.position / lot), values.balance * (-1) ** inverse, values.fee
        )
        hbt.close()
        return answer, elapsed_s

    return run


def run_ours(streams: Streams, settings: Settings) -> tuple[Answer, float]:
    """zoms over the rows; seconds beside the answer."""
    core = build_core(settings, two_clocks=True)
    st = core.st
    s = st[0]
    first_ts = min(int(streams.local["local_ts"][0]), int(streams.exchange["exch_ts"][0]))
    last_ts = max(int(streams.local["local_ts"][-1]), int(streams.exchange["exch_ts"][-1]))
    start = time.perf_counter()
    step_ticks(st, time_record(first_ts), 0, 0)
    # hftbacktest counts its steps from the first row; a timer of zoms goes by the clock
    s["strategies"][0]["timer_due"] = first_ts + STEP_NS
    s["next_due"] = min(int(s["next_due"]), first_ts + STEP_NS)
    set_exchange_rows(st, streams.exchange)
    for part in (streams.local, time_record(last_ts)):
        at = 0
        while at < len(part):
            at = step_ticks(st, part, at, 0)
            clear_outputs(st)
    elapsed_s = time.perf_counter() - start
    position = s["positions"][0, 0, 0]
    answer = Answer(
        int(s["strategies"][0]["memory"][0]),
        int(s["orders_sent"]),
        int(s["fills"]),
        int(position["qty"]),
        float(position["cash"]) / CASH_SCALE,
        float(position["fees"]) / CASH_SCALE,
    )
    return answer, elapsed_s


def check(ours: Answer, theirs: Answer) -> None:
    """Raise ``AssertionError`` unless both came to the same; money to the ninth digit, for the oracle adds floats."""
    same = ours[:4] == theirs[:4] and bool(np.allclose(ours[4:], theirs[4:], rtol=1e-9, atol=1e-6))
    if not same:
        raise AssertionError(f"the engines differ: zoms {ours}, hftbacktest {theirs}")


def measure(
    data: str = str(RECORDING),
    tick_size: str = "0.1",
    lot_size: str = "0.001",
    inverse: bool = False,
    contract: str = "",
) -> Iterator[dict[str, Any]]:
    """Rows per second of both engines over the rows of ``data``, in turn; only when both give the same answer."""
    path = Path(data)
    instrument = instrument_of(tick_size, lot_size, inverse=inverse, contract=contract or ("100" if inverse else "1"))
    streams = read_streams(path, instrument, inverse)
    settings = settings_for(instrument)
    oracle = _oracle(streams.rows, instrument, inverse)
    theirs, _ = oracle()  # compiles
    ours, _ = run_ours(streams, settings)
    check(ours, theirs)
    known = KNOWN.get(path.name)
    if known is not None:
        check(ours, Answer(*known))
    times = [(run_ours(streams, settings)[1], oracle()[1]) for _ in range(REPEATS)]
    rates = len(streams.rows) / np.array(times)
    yield {
        "name": "backtest",
        "unit": "rows/s",
        "ours": median(rates[:, 0]),
        "reference": median(rates[:, 1]),
        "reference_name": "hftbacktest, vector book, same rows and orders",
        "ratio": median(rates[:, 0] / rates[:, 1]),
        "details": {
            "rows": len(streams.rows),
            **ours._asdict(),
            "equal": "steps, orders, trades, position, balance, fee",
            "best": rates[:, 0].max(),
            "best_reference": rates[:, 1].max(),
        },
    }
