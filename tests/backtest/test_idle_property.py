"""Reviews that a backtest passes over while the mark stays within its band: it comes to what all of them come to."""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

import msgspec
import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as some

from backtest.market import Rows
from backtest.run import Drive
from oms.assembly import Loaded, build_core, load
from oms.config import Settings
from oms.core.idle import REVIEW_INTERVAL_NS
from oms.core.state import MAX_ACCOUNTS, State
from oms.records import TICK, EventKind, Reason, TickKind
from tests.backtest.venue import BOTH, STRATEGIES, instrument, settings_of
from tests.limits import rich_account

START_NS: Final = 1_704_066_600 * 10**9
"""Half an hour before midnight UTC, when the day begins anew."""
START_PX: Final = 20_000
CONTRACTS: Final = tuple(instrument(number, tick="0.1", lot="0.01") for number in range(2))
NO_ACCOUNT: Final = MAX_ACCOUNTS - 1
"""No settings here have as many accounts."""
ACCOUNTS: Final = ("paper", "second")

OF_THE_BAND: Final = (
    "reviewed_updates",
    "reviewed_events",
    "quiet_until",
    "quiet_instrument",
    "quiet_low",
    "quiet_high",
)
OF_A_PRICE: Final = ("half_ticks", "unit", "rate")
OF_LOSSES: Final = ("peak_pnl", "day_start_pnl", "next_reset", "trading_state", "reason", "drawn_down", "cancelling")
"""What reviews make of a scope: the same with and without those that are passed over, at any time."""


class Market(NamedTuple):
    """Bars of one or two instruments, at random."""

    seed: int
    number: int
    """Of bars."""
    bar_s: int
    move: int
    """Ticks that a close is from the one before, as a standard deviation."""
    jumps: float
    """How often a bar opens somewhere else."""
    gaps: float
    """How often there is no bar for up to half an hour."""


class Trader(NamedTuple):
    """One strategy, on instrument ``number``, with its own limits of loss in the reporting currency."""

    seed: int
    number: int
    lots: int
    daily_loss: int
    drawdown: int
    account: str = ACCOUNTS[0]


class Run(NamedTuple):
    """What a run came to."""

    st: State
    events: Rows
    losses: list[list[bytes]]
    """``OF_LOSSES`` of every scope after each bar."""
    reviewed: list[int]
    """Which update of the market the last review has seen, after each bar."""


ANYONE: Final = Trader(seed=1, number=0, lots=5, daily_loss=100, drawdown=100)
FAR: Final = 10**9
"""A limit of loss that nothing reaches."""
LOSING: Final = Market(seed=3, number=300, bar_s=5, move=40, jumps=0.02, gaps=0.02)
LOSERS: Final = [Trader(3, 0, 20, daily_loss=10, drawdown=FAR), Trader(103, 0, 20, daily_loss=FAR, drawdown=10)]
"""In that market they reach their limits."""
CALM: Final = Market(seed=1, number=300, bar_s=60, move=1, jumps=0.0, gaps=0.0)
LIMITS: Final = some.one_of(some.integers(1, 200), some.integers(200, 3_000), some.just(FAR))
MARKETS: Final = some.builds(
    Market,
    seed=some.integers(0, 2**32 - 1),
    number=some.integers(1, 400),
    bar_s=some.sampled_from([1, 5, 60]),
    move=some.sampled_from([1, 5, 40, 400]),
    jumps=some.sampled_from([0.0, 0.02]),
    gaps=some.sampled_from([0.0, 0.01]),
)
TRADERS: Final = some.lists(
    some.builds(
        Trader,
        seed=some.integers(1, 2**31 - 2),
        number=some.integers(0, 1),
        lots=some.sampled_from([1, 5, 300]),
        daily_loss=LIMITS,
        drawdown=LIMITS,
        account=some.sampled_from(ACCOUNTS),
    ),
    min_size=1,
    max_size=3,
)


def bars_of(market: Market) -> Rows:
    """The bars, those of an instrument never going below one tick; at each time of both instruments, or of one."""
    random = np.random.default_rng(market.seed)
    ticks = np.zeros(market.number, TICK)
    wait_s = np.where(
        random.random(market.number) < market.gaps, random.integers(1, 1_800, market.number), market.bar_s
    )
    ticks["local_ts"] = START_NS + np.cumsum(wait_s) * 10**9
    ticks["local_ts"] += np.where(random.random(market.number) < 0.1, random.integers(0, 10**9, market.number), 0)
    ticks["local_ts"].sort()
    ticks["exch_ts"] = ticks["local_ts"] - market.bar_s * 10**9
    ticks["instrument"] = random.random(market.number) < 0.2
    closes = np.full(2, START_PX)
    for row in ticks:
        number = int(row["instrument"])
        jump = random.integers(-2_000, 2_001) if random.random() < market.jumps else random.integers(-1, 2)
        begin = max(int(closes[number] + jump), 1)
        end = max(begin + round(random.normal(0, market.move)), 1)
        high = max(begin, end) + int(random.integers(0, market.move + 1))
        low = max(min(begin, end) - int(random.integers(0, market.move + 1)), 1)
        row["px_2"], row["qty_2"], row["update_id"], row["px"] = begin, high, low, end
        closes[number] = end
    ticks["kind"] = TickKind.BAR
    ticks["qty"] = random.integers(0, 2_000, market.number)
    ticks["flags"] = BOTH
    return ticks


@cache
def loaded(count: int) -> Loaded:
    """What ``count`` strategies need, whatever their parameters."""
    return load(settings_for([ANYONE] * count, 1, 1))


def settings_for(traders: list[Trader], daily_loss: int, drawdown: int) -> Settings:
    """These strategies in accounts that have these limits of loss each."""
    account = msgspec.structs.replace(
        rich_account(CONTRACTS), max_daily_loss=str(daily_loss), max_drawdown=str(drawdown)
    )
    strategies = [
        {
            "file": str(STRATEGIES / "roamer.py"),
            "instrument": f"TEST{trader.number}",
            "name": f"roamer-{at}",
            "account": trader.account,
            "parameters": {"seed": float(trader.seed), "lots": float(trader.lots)},
            "risk": {"max_daily_loss": str(trader.daily_loss), "max_drawdown": str(trader.drawdown)},
        }
        for at, trader in enumerate(traders)
    ]
    return settings_of(
        *CONTRACTS, model="bar", accounts=dict.fromkeys(ACCOUNTS, msgspec.to_builtins(account)), strategies=strategies
    )


def review_every_second(st: State) -> None:
    """Let no review be passed over: something, of an account that is not there, is always due by time."""
    st[0]["scopes"][NO_ACCOUNT]["defined"] = 1
    st[0]["scopes"][NO_ACCOUNT]["next_reset"] = 0


def driven(chosen: Settings, bars: Rows, *, passes_over: bool) -> Run:
    """Go through the bars, and have everything reviewed at the end."""
    st = build_core(chosen, loaded=loaded(len(chosen.strategies))).st
    if not passes_over:
        review_every_second(st)
    drive = Drive(st)
    losses, reviewed = [], []
    for at in range(len(bars)):
        drive.take(bars[at : at + 1])
        scopes = np.delete(st[0]["scopes"], NO_ACCOUNT)
        losses.append([scopes[name].tobytes() for name in OF_LOSSES])
        reviewed.append(int(st[0]["reviewed_updates"]))
    st[0]["quiet_until"] = 0
    drive.let_pass(int(bars["local_ts"][-1]) + 2 * REVIEW_INTERVAL_NS)
    return Run(st, drive.log.all(), losses, reviewed)


def fields_of(st: State) -> dict[str, bytes]:
    """The state by field, the band, the scope of no account, and books of no instrument aside.

    A position that does not count keeps the price at which it last did, and is priced anew before it counts again.
    """
    s = st[0]
    s["scopes"][NO_ACCOUNT] = 0
    rows = s["valuations"]
    for name in OF_A_PRICE:
        rows[name][rows["active"] == 0] = 0
    whole = set(s.dtype.names or ()) - {*OF_THE_BAND, "books"}
    return {"books": s["books"][: len(CONTRACTS)].tobytes()} | {name: np.asarray(s[name]).tobytes() for name in whole}


def differing(first: State, second: State) -> list[str]:
    """Names of the fields in which two states differ."""
    other = fields_of(second)
    return [name for name, content in fields_of(first).items() if content != other[name]]


@settings(max_examples=20)
@given(MARKETS, TRADERS, LIMITS, LIMITS)
@example(LOSING, LOSERS, FAR, FAR)
def test_a_run_that_passes_reviews_over_is_one_that_makes_them_all(
    market: Market, traders: list[Trader], daily_loss: int, drawdown: int
) -> None:
    chosen = settings_for(traders, daily_loss, drawdown)
    bars = bars_of(market)
    run = driven(chosen, bars, passes_over=True)
    other = driven(chosen, bars, passes_over=False)
    assert run.losses == other.losses
    assert run.events.tolist() == other.events.tolist()
    assert differing(run.st, other.st) == []


def test_the_losers_reach_their_limits_and_trade_again() -> None:
    events = driven(settings_for(LOSERS, FAR, FAR), bars_of(LOSING), passes_over=True).events
    reasons = {Reason(int(each)) for each in events["reason"][events["kind"] == EventKind.TRADING_STATE]}
    assert reasons == {Reason.DAILY_LOSS, Reason.DRAWDOWN, Reason.EXPIRED_DAY}


def test_a_market_that_hardly_moves_is_seldom_reviewed() -> None:
    chosen = settings_for([ANYONE], FAR, FAR)
    bars = bars_of(CALM)
    run, other = (driven(chosen, bars, passes_over=passes_over) for passes_over in (True, False))
    assert len(set(other.reviewed)) > 0.9 * len(bars)
    assert len(set(run.reviewed)) < 0.5 * len(bars)
