"""Building a core from settings: state, accounts, instruments, limits, the exchange model, strategies, algorithms.

The core process and the backtest build theirs here, so that both run the same tables and the same functions.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from oms.account_settings import CASH_LIMITS, LARGEST_LIMITS, AccountSettings, StrategyRisk
from oms.algorithms import built_in
from oms.compiled import Callback, Progress, compile_entries
from oms.config import Settings, StrategySettings
from oms.core.state import (
    MAX_ACCOUNTS,
    NO_LIMIT,
    Record,
    State,
    define_account,
    define_instrument,
    new_state,
    touch_pages,
)
from oms.decimals import rate, scaled
from oms.exchange_costs import define_costs
from oms.exchange_model import LIQUIDATION, STOPS, Latency, load_model, use_model
from oms.instruments import Instrument, underlying_of
from oms.money import define_money, open_wallet
from oms.precompile import precompile
from oms.records import CASH_SCALE, TradingState
from oms.resets import define_resets
from strategies.loader import (
    LoadedAlgorithm,
    LoadedRule,
    LoadedStrategy,
    define_algorithm,
    define_rule,
    define_strategy,
    load_algorithm,
    load_rule,
    load_strategy,
)

NS_PER_US: Final = 1_000
NS_PER_MS: Final = 1_000_000
NS_PER_S: Final = 1_000_000_000

WIDEST_COLLAR: Final = LARGEST_LIMITS["price_collar"] * CASH_SCALE
"""A collar that lets every price through that the core can hold, and whose products fit 64 bits."""

PAPER_ACCOUNT: Final = 0
"""Number of the session's own account."""

_WHOLE_LIMITS: Final = {
    "max_gross_exposure": "max_gross",
    "max_net_exposure": "max_net",
    "max_leverage": "max_leverage",
    "max_daily_loss": "max_daily_loss",
    "max_drawdown": "max_drawdown",
}
"""Limits of a scope as a whole in 1e-8, by their names in settings and in the core."""
_INTERVALS: Final = {"max_orders_per_second": "order_interval_ns", "max_cancels_per_second": "cancel_interval_ns"}
assert set(CASH_LIMITS) < set(_WHOLE_LIMITS)


class Loaded(NamedTuple):
    """What settings name that is compiled: it holds no state, so that any number of cores may use it."""

    strategies: tuple[LoadedStrategy, ...]
    model: dict[str, Callback]
    rules: tuple[LoadedRule, ...]
    algorithms: tuple[LoadedAlgorithm, ...]


class Core(NamedTuple):
    """A core ready to step, and what must be kept alive with it."""

    st: State
    strategies: tuple[LoadedStrategy, ...]
    model: dict[str, Callback]
    rules: tuple[LoadedRule, ...] = ()
    algorithms: tuple[LoadedAlgorithm, ...] = ()
    latency: Latency = Latency()


def define_limits(st: State, settings: Settings, instrument: Instrument, account: int = PAPER_ACCOUNT) -> None:
    """Enter an account's limits for an instrument; one without limits stays untradable."""
    limits = settings.risk_limits(instrument, settings.account_names[account])
    if limits is None:
        return
    row = st[0]["limits"][account, instrument.id]
    row["defined"] = 1
    row["max_order_qty"] = instrument.qty_to_lots(limits.max_order_qty)
    row["max_order_notional"] = Decimal(limits.max_order_notional) * CASH_SCALE
    row["collar_rate"] = rate("price_collar", limits.price_collar)
    row["max_position"] = instrument.qty_to_lots(limits.max_position)
    row["max_open_orders"] = limits.max_open_orders
    row["order_interval_ns"] = NS_PER_S // limits.max_orders_per_second
    row["max_book_age_ns"] = limits.max_book_age_ms * NS_PER_MS
    row["duplicate_window_ns"] = limits.duplicate_window_ms * NS_PER_MS
    row["self_trade_allowed"] = limits.self_trade == "allow"


def define_strategy_limits(st: State, risk: StrategyRisk, instrument: Instrument, number: int) -> None:
    """Enter a strategy's own limits, in its scope; what it does not give is not narrowed."""
    scope = st[0]["scopes"][MAX_ACCOUNTS + number]
    _define_scope(scope, risk)
    scope["equity_start"] = scaled("capital", risk.capital or "0", "capital")
    row = st[0]["limits"][MAX_ACCOUNTS + number, instrument.id]
    row["defined"] = 1
    row["max_order_qty"] = NO_LIMIT if risk.max_order_qty is None else instrument.qty_to_lots(risk.max_order_qty)
    row["max_order_notional"] = (
        NO_LIMIT if risk.max_order_notional is None else Decimal(risk.max_order_notional) * CASH_SCALE
    )
    row["collar_rate"] = WIDEST_COLLAR if risk.price_collar is None else rate("price_collar", risk.price_collar)
    row["max_position"] = NO_LIMIT if risk.max_position is None else instrument.qty_to_lots(risk.max_position)
    row["max_open_orders"] = NO_LIMIT
    row["max_book_age_ns"] = NO_LIMIT


def _define_scope(scope: Record, limits: AccountSettings | StrategyRisk) -> None:
    """Enter the limits of an account or a strategy as a whole."""
    for name, field in _WHOLE_LIMITS.items():
        text = getattr(limits, name)
        scope[field] = NO_LIMIT if text is None else scaled(name, text, name)
    scope["max_open_orders"] = NO_LIMIT if limits.max_open_orders is None else limits.max_open_orders
    for name, field in _INTERVALS.items():
        count = getattr(limits, name)
        scope[field] = 0 if count is None else NS_PER_S // count


def define_accounts(st: State, settings: Settings, trading_state: TradingState) -> None:
    """Enter every account: its modes, its limits as a whole, its wallets with their opening balances, which in firm
    mode are the exchange's to tell."""
    for number, name in enumerate(settings.account_names):
        account = settings.accounts[name]
        define_account(st, number, trading_state)
        row = st[0]["accounts"][number]
        row["hedging"] = account.position_mode == "hedging"
        row["isolated"] = account.margin_mode == "isolated"
        row["fifo"] = account.cost_basis == "fifo"
        row["leverage"] = scaled("leverage", account.leverage, "leverage")
        _define_scope(st[0]["scopes"][number], account)
        define_resets(st, number, account.day_reset)
        for index, wallet in enumerate(settings.wallets):
            what = f"balance of {wallet}"
            given = account.balances.get(str(wallet), "0") if settings.mode == "paper" else "0"
            open_wallet(st, number, index, scaled(what, given, what))


def define_underlying(st: State, settings: Settings, instrument: Instrument) -> None:
    """Tell an instrument's row the number of its underlying."""
    underlying = underlying_of(instrument, settings.instruments)
    st[0]["instruments"][instrument.id]["underlying"] = -1 if underlying is None else underlying.id


@lru_cache(maxsize=1)
def built_in_algorithms() -> tuple[LoadedAlgorithm, ...]:
    """The algorithms that come with zoms, loaded once a process: a core holds no state of theirs."""
    return tuple(load_algorithm(path) for path in built_in())


def recorded_latencies(file: str) -> npt.NDArray[np.int64] | None:
    """The recorded order latencies that settings name; None when they name none."""
    if not file:
        return None
    from backtest.latency import read_latencies

    return read_latencies(Path(file))


def load(settings: Settings, report: Callable[[Progress], None] = lambda progress: None) -> Loaded:
    """Compile what the settings need, or take it from the cache.

    Raises
    ------
    ConfigError, StrategyError
        When a file cannot be used.
    """
    from oms import engine  # its entries are compiled, or found in the cache, with those that are imported already

    _ = engine
    matching = settings.matching
    precompile(
        [f"matching/{matching.model}", f"queues/{matching.queue}", f"liquidation/{LIQUIDATION}", f"stops/{STOPS}"],
        [chosen.file for chosen in settings.strategies],
        (*built_in(), *settings.algorithm_files),
        report,
    )
    compile_entries()
    return Loaded(
        strategies=tuple(load_strategy(Path(chosen.file)) for chosen in settings.strategies),
        model=load_model(matching.model, matching.queue),
        rules=tuple(load_rule(Path(chosen.file)) for chosen in settings.rules),
        algorithms=(*built_in_algorithms(), *(load_algorithm(path) for path in settings.algorithm_files)),
    )


def build_core(
    settings: Settings,
    *,
    trading_state: TradingState = TradingState.ACTIVE,
    two_clocks: bool = False,
    loaded: Loaded | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Core:
    """Return a core that holds what the settings say.

    With ``two_clocks`` its exchange model acts at exchange time, on books of its own: in a backtest. ``loaded`` is what
    ``load`` gave for these settings, or for some that name the same files; without it they are loaded here.

    Raises
    ------
    ConfigError, StrategyError, GridError
        When a setting cannot be used.
    """
    loaded = load(settings, report) if loaded is None else loaded
    matching = settings.matching
    st = new_state()
    define_accounts(st, settings, trading_state)
    for instrument in settings.instruments:
        define_instrument(st, instrument)
        define_underlying(st, settings, instrument)
        for account in range(len(settings.accounts)):
            define_limits(st, settings, instrument, account)
    define_money(st, settings.instruments, settings.wallets, settings.currency_codes, settings.conversions)
    latency = Latency(
        matching.entry_latency_us * NS_PER_US,
        matching.response_latency_us * NS_PER_US,
        matching.feed_latency_factor,
        recorded_latencies(matching.latencies),
    )
    use_model(st, loaded.model, latency, queue_power=matching.queue_power, two_clocks=two_clocks)
    define_costs(st, matching)
    for strategy, chosen in zip(loaded.strategies, settings.strategies, strict=True):
        _enter_strategy(st, settings, strategy, chosen)
    for rule in loaded.rules:
        define_rule(st, rule)
    for algorithm in loaded.algorithms:
        define_algorithm(st, algorithm)
    touch_pages(st)
    return Core(st, *loaded, latency=latency)


def _enter_strategy(st: State, settings: Settings, strategy: LoadedStrategy, chosen: StrategySettings) -> None:
    instrument = settings.instrument(chosen.instrument)
    number = define_strategy(
        st,
        strategy,
        account=settings.account_number(chosen.account),
        instrument=instrument.id,
        parameters=dict(chosen.parameters),
    )
    define_strategy_limits(st, chosen.risk, instrument, number)
