"""The results of a backtest: equity, trades and figures of the whole, of each strategy and of each instrument."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from backtest.benchmarks import exact_sum
from backtest.equity import Floats, capital_of, curve_of, rates_at, to_cash
from backtest.ledger import ACCOUNT, LEDGER_KINDS, NO_STRATEGY, Ledger, ledger_of, of_exchange
from backtest.ledger_kernels import FILLED
from backtest.market import Rows
from backtest.marks import DAY_NS
from backtest.metrics import LEAST_DAYS, LEAST_TRADES, Figures, Sample, figures_of, length_text, no_figures
from backtest.slippage import AlgorithmSlippage, slippage_by_algorithm
from backtest.trades import trades_of
from oms.config import qualified_symbol
from oms.decimals import cash_text, scaled
from oms.figures import average_price_text
from oms.instruments import Instrument
from oms.records import EventKind, Liquidity

if TYPE_CHECKING:
    from oms.config import Settings

JUDGED_KINDS: Final = (*LEDGER_KINDS, EventKind.PROGRESS)
"""Of the events that results are made of."""

WHOLE: Final = "whole"
STRATEGY: Final = "strategy"
INSTRUMENT: Final = "instrument"
NO_STRATEGY_NAME: Final = "no strategy"
"""What orders of clients, and the core's own, are listed under."""
Mask = npt.NDArray[np.bool_]

SIDES: Final = {1: "long", -1: "short"}
TRADE_AMOUNTS: Final = ("gross_pnl", "fees", "funding", "net_pnl", "adverse_excursion", "favourable_excursion")
"""Columns of TRADE that are cash of the settlement currency."""


class CurveReport(msgspec.Struct, frozen=True, kw_only=True):
    """An equity curve by columns, a row for each of the result's times; amounts are exact decimal text."""

    equity: tuple[str, ...]
    realized_pnl: tuple[str, ...]
    unrealized_pnl: tuple[str, ...]
    fees: tuple[str, ...]
    funding: tuple[str, ...]
    exposure: tuple[str, ...]


class MonthReport(msgspec.Struct, frozen=True, kw_only=True):
    """One month of UTC, or the part of it that the data have."""

    month: str
    """Such as ``2024-08``."""
    pnl: str
    total_return: float | None
    """Of the equity at its start; None where that was not above zero."""


class TradeReport(msgspec.Struct, frozen=True, kw_only=True):
    """One round trip; prices, quantities and amounts (of the settlement currency) are decimal text."""

    strategy: str
    account: str
    symbol: str
    side: str
    is_open: bool
    is_liquidated: bool
    """The exchange closed it."""
    entry_ts: int
    exit_ts: int
    """Open: the end of the data."""
    holding_ns: int
    qty: str
    entry_price: str
    exit_price: str | None
    """None while nothing has closed."""
    gross_pnl: str
    fees: str
    funding: str
    net_pnl: str
    adverse_excursion: str
    favourable_excursion: str
    settlement: str
    fills: int
    maker_share: float


class ScopeReport(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of the whole, of one strategy or of one instrument."""

    scope: str
    """``whole``, ``strategy`` or ``instrument``."""
    name: str
    capital: str
    """What returns are a part of, in the reporting currency."""
    metrics: dict[str, int | float | str | None]
    """``backtest.metrics.METRICS``: amounts as decimal text, ratios as numbers, times in ns; None: see ``absent``."""
    absent: dict[str, str]
    """Why a metric is not there, by its name."""
    months: tuple[MonthReport, ...]
    curve: CurveReport


class PerformanceReport(msgspec.Struct, frozen=True, kw_only=True):
    """The results of one backtest, for machines."""

    currency: str
    """The reporting currency."""
    start_ts: int
    end_ts: int
    days: float
    failures: tuple[str, ...]
    """Strategies that failed, a line each: then there is no metric."""
    warnings: tuple[str, ...]
    """What to know before a figure is believed, a line each."""
    whole: ScopeReport
    strategies: tuple[ScopeReport, ...]
    instruments: tuple[ScopeReport, ...]
    slippage: tuple[AlgorithmSlippage, ...]
    """Empty when a strategy failed."""
    trades: tuple[TradeReport, ...]
    ts: tuple[int, ...]
    """Of every curve's rows, ns."""


class Scope(NamedTuple):
    """What was done by one part of a run."""

    kind: str
    name: str
    sample: Sample
    figures: Figures
    positions: npt.NDArray[np.intp]
    """Rows of the ledger."""


class Performance(NamedTuple):
    """The results of one backtest, with what they were computed from."""

    settings: Settings
    strategy_names: tuple[str, ...]
    ledger: Ledger
    trades: Rows
    """Of TRADE."""
    scopes: tuple[Scope, ...]
    """The whole first, then strategies, then instruments."""
    failures: tuple[str, ...]
    warnings: tuple[str, ...]
    slippage: tuple[AlgorithmSlippage, ...]

    @property
    def whole(self) -> Scope:
        return self.scopes[0]

    def scopes_of(self, kind: str) -> tuple[Scope, ...]:
        return tuple(scope for scope in self.scopes if scope.kind == kind)

    @property
    def distinct_scopes(self) -> tuple[Scope, ...]:
        """The whole, and those parts that are not all of it: strategies and instruments where there are several."""
        parts = (self.scopes_of(kind) for kind in (STRATEGY, INSTRUMENT))
        return (self.whole, *(scope for scopes in parts if len(scopes) > 1 for scope in scopes))

    def instrument(self, number: int) -> Instrument:
        return {each.id: each for each in self.settings.instruments}[number]

    def owner_name(self, owner: int) -> str:
        """The name of a strategy, or of there being none."""
        return self.strategy_names[owner] if owner >= 0 else NO_STRATEGY_NAME


def performance_of(
    settings: Settings,
    events: Rows,
    marks: Rows,
    strategy_names: Sequence[str],
    *,
    algorithms: Mapping[int, str] = MappingProxyType({}),
    failures: Sequence[str] = (),
) -> Performance:
    """Compute the results of a run.

    Parameters
    ----------
    settings : Settings
        Of the run.
    events : array of EVENT
        Those of the run that are of ``JUDGED_KINDS``, in order; others do not matter.
    marks : array of MARK_SAMPLE
        In order of time.
    strategy_names : sequence of str
        In the order of ``settings.strategies``.
    algorithms : mapping
        The algorithm of each parent order, by order id.
    failures : sequence of str
        Strategies that failed, a line each: such a run is not judged.

    Raises
    ------
    LedgerError
        As ``ledger_of`` does.
    """
    by_id = {each.id: each for each in settings.instruments}
    fifo = {
        number for number, name in enumerate(settings.account_names) if settings.accounts[name].cost_basis == "fifo"
    }
    ledger = ledger_of(events, settings.instruments, marks, fifo)
    by_currency = rates_at(settings.conversions, marks, ledger.ts)
    rates = np.zeros(ledger.points.shape)
    for column, number in enumerate(ledger.keys["instrument"].tolist()):
        if by_id[number].settlement in by_currency:
            rates[:, column] = by_currency[by_id[number].settlement]
    trades = trades_of(ledger, by_id, rates)
    names = unique_names(strategy_names)
    capital = [capital_of(settings, by_currency, number) for number in range(len(settings.account_names))]
    total = sum(cash for cash, _ in capital)
    builder = _Builder(ledger, trades, rates, bool(failures))
    is_whole = ledger.keys["owner"] == ACCOUNT
    scopes = [builder.scope(WHOLE, WHOLE, total, is_whole, np.ones(len(trades), np.bool_))]
    owners = [*range(len(names)), *([NO_STRATEGY] if np.any(ledger.keys["owner"] == NO_STRATEGY) else [])]
    for owner in owners:
        own = total
        if owner >= 0:
            chosen = settings.strategies[owner]
            given = chosen.risk.capital
            own = capital[settings.account_number(chosen.account)][0] if given is None else scaled("", given, "capital")
        name = names[owner] if owner >= 0 else NO_STRATEGY_NAME
        scopes.append(builder.scope(STRATEGY, name, own, ledger.keys["owner"] == owner, trades["owner"] == owner))
    for number in np.unique(ledger.keys["instrument"]).tolist():
        mine = is_whole & (ledger.keys["instrument"] == number)
        name = qualified_symbol(by_id[number])
        scopes.append(builder.scope(INSTRUMENT, name, total, mine, trades["instrument"] == number))
    left_out = tuple(wallet for _, wallets in capital for wallet in wallets)
    return Performance(
        settings=settings,
        strategy_names=names,
        ledger=ledger,
        trades=trades,
        scopes=tuple(scopes),
        failures=tuple(failures),
        warnings=_warnings(scopes[0].sample, left_out, _unconverted(ledger, by_id, rates)),
        slippage=() if failures else slippage_by_algorithm(events, by_id, algorithms),
    )


class _Builder(NamedTuple):
    """What is common to all scopes of a run."""

    ledger: Ledger
    trades: Rows
    rates: Floats
    has_failed: bool

    def scope(self, kind: str, name: str, capital: int, position_mask: Mask, trade_mask: Mask) -> Scope:
        ledger = self.ledger
        positions = np.flatnonzero(position_mask)
        moves = ledger.moves_of(positions)
        moves = moves[moves["kind"] == FILLED]
        at = np.maximum(np.searchsorted(ledger.ts, moves["ts"], "right") - 1, 0)
        values = to_cash(moves["value"] * self.rates[at, moves["position"]])
        sample = Sample(
            capital=capital,
            curve=curve_of(ledger, self.rates, positions),
            trades=self.trades[trade_mask],
            fills=len(moves),
            traded=exact_sum(values),
            maker_traded=exact_sum(values[moves["liquidity"] == Liquidity.MAKER]),
            liquidations=int(of_exchange(moves).sum()),
        )
        figures = no_figures("a strategy failed: the run is not judged") if self.has_failed else figures_of(sample)
        return Scope(kind, name, sample, figures, positions)


def unique_names(names: Sequence[str]) -> tuple[str, ...]:
    """The names of strategies, each with its number where another one has the same."""
    return tuple(name if list(names).count(name) == 1 else f"{name} {number}" for number, name in enumerate(names))


def _unconverted(ledger: Ledger, by_id: dict[int, Instrument], rates: Floats) -> tuple[str, ...]:
    """Settlement currencies that positions had and that were never worth anything known."""
    never = ~np.any(rates > 0, axis=0)
    return tuple(sorted({by_id[each].settlement for each in ledger.keys["instrument"][never].tolist()}))


def _warnings(whole: Sample, left_out: Sequence[str], unconverted: Sequence[str]) -> tuple[str, ...]:
    found = []
    if whole.length_ns < LEAST_DAYS * DAY_NS or len(whole.closed) < LEAST_TRADES:
        found.append(
            f"{length_text(whole.length_ns)} of data and {len(whole.closed)} closed trades are too few to judge a "
            f"strategy: Sharpe and Sortino ratios need {LEAST_DAYS} days and {LEAST_TRADES} trades"
        )
    found += [f"the balance of {wallet} has no known worth and is not in the capital" for wallet in left_out]
    found += [f"{currency} has no known worth: what was made in it counts as nothing" for currency in unconverted]
    return tuple(found)


def report_of(performance: Performance) -> PerformanceReport:
    """The results for machines."""
    ts = performance.ledger.ts
    scope_report = partial(_scope_report, is_unjudged=bool(performance.failures))
    return PerformanceReport(
        currency=performance.settings.reporting_currency,
        start_ts=int(ts[0]) if len(ts) else 0,
        end_ts=int(ts[-1]) if len(ts) else 0,
        days=performance.whole.sample.length_ns / DAY_NS,
        failures=performance.failures,
        warnings=performance.warnings,
        whole=scope_report(performance.whole),
        strategies=tuple(map(scope_report, performance.scopes_of(STRATEGY))),
        instruments=tuple(map(scope_report, performance.scopes_of(INSTRUMENT))),
        slippage=performance.slippage,
        trades=tuple(_trade_report(performance, trade) for trade in performance.trades),
        ts=tuple(ts.tolist()),
    )


def _scope_report(scope: Scope, *, is_unjudged: bool) -> ScopeReport:
    curve = scope.sample.curve
    columns = {name: curve[name] for name in CurveReport.__struct_fields__ if name != "equity"}
    columns["equity"] = curve["pnl"] + scope.sample.capital
    return ScopeReport(
        scope=scope.kind,
        name=scope.name,
        capital=cash_text(scope.sample.capital),
        metrics=scope.figures.values,
        absent=scope.figures.absent,
        months=() if is_unjudged else months_of(scope.sample),
        curve=CurveReport(**{name: tuple(map(cash_text, column.tolist())) for name, column in columns.items()}),
    )


def months_of(sample: Sample) -> tuple[MonthReport, ...]:
    """What each month of UTC brought."""
    ts = sample.curve["ts"]
    if not len(ts):
        return ()
    ends = ts - 1  # midnight is the end of the day before
    ends[0] = ts[0]
    month = ends.astype("datetime64[ns]").astype("datetime64[M]")
    last = np.flatnonzero(np.append(month[1:] != month[:-1], True))
    pnl = sample.curve["pnl"][last]
    before = sample.capital + np.concatenate([[0], pnl[:-1]])
    gained = np.diff(pnl, prepend=0)
    return tuple(
        MonthReport(
            month=str(month[at]),
            pnl=cash_text(int(cash)),
            total_return=int(cash) / int(start) if start > 0 else None,
        )
        for at, cash, start in zip(last.tolist(), gained, before, strict=True)
    )


def _trade_report(performance: Performance, trade: np.void) -> TradeReport:
    instrument = performance.instrument(int(trade["instrument"]))
    return TradeReport(
        strategy=performance.owner_name(int(trade["owner"])),
        account=performance.settings.account_names[int(trade["account"])],
        symbol=qualified_symbol(instrument),
        side=SIDES[int(trade["side"])],
        is_open=bool(trade["is_open"]),
        is_liquidated=bool(trade["is_liquidated"]),
        entry_ts=int(trade["entry_ts"]),
        exit_ts=int(trade["exit_ts"]),
        holding_ns=int(trade["exit_ts"] - trade["entry_ts"]),
        qty=instrument.qty_from_lots(trade["qty"]),
        entry_price=average_price_text(instrument, int(trade["entry_px"])),
        exit_price=average_price_text(instrument, int(trade["exit_px"])) if trade["exit_px"] else None,
        settlement=instrument.settlement,
        fills=int(trade["fills"]),
        maker_share=int(trade["maker_qty"]) / int(trade["qty"] + trade["closed_qty"]),
        **{name: cash_text(trade[name]) for name in TRADE_AMOUNTS},
    )


def time_text(ts: int) -> str:
    """A time in ns as UTC, to the second."""
    return f"{datetime.fromtimestamp(ts // 10**9, tz=UTC):%Y-%m-%d %H:%M:%S}"
