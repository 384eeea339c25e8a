"""Building a core from settings: state, instruments, limits, the exchange model, strategies.

The core process and the backtest build theirs here, so that both run the same tables and the same functions.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Final, NamedTuple

from oms.compiled import Callback, Progress, compile_entries
from oms.config import Settings
from oms.core.state import State, define_account, define_instrument, new_state
from oms.decimals import rate
from oms.exchange_model import load_model, use_model
from oms.instruments import Instrument
from oms.money import define_money, define_wallet, money_of, whole_units
from oms.precompile import precompile
from oms.records import CASH_SCALE, TradingState
from strategies.loader import LoadedStrategy, define_strategy, load_strategy

NS_PER_US: Final = 1_000
NS_PER_S: Final = 1_000_000_000

PAPER_BALANCE: Final = 1_000_000
"""Units of every currency that a session begins with."""

PAPER_ACCOUNT: Final = 0
"""Number of the session's one account."""


class Core(NamedTuple):
    """A core ready to step, and what must be kept alive with it."""

    st: State
    strategies: tuple[LoadedStrategy, ...]
    model: dict[str, Callback]


def define_limits(st: State, settings: Settings, instrument: Instrument) -> None:
    """Enter the account's limits for an instrument; one without limits stays untradable."""
    limits = settings.risk_limits(instrument)
    if limits is None:
        return
    row = st[0]["limits"][PAPER_ACCOUNT, instrument.id]
    row["defined"] = 1
    row["max_order_qty"] = instrument.qty_to_lots(limits.max_order_qty)
    row["max_order_notional"] = Decimal(limits.max_order_notional) * CASH_SCALE
    row["collar_rate"] = rate("price_collar", limits.price_collar)
    row["max_position"] = instrument.qty_to_lots(limits.max_position)
    row["max_open_orders"] = limits.max_open_orders
    row["order_interval_ns"] = NS_PER_S // limits.max_orders_per_second


def build_core(
    settings: Settings,
    *,
    trading_state: TradingState = TradingState.ACTIVE,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Core:
    """Compile what the settings need and return a core that holds it.

    Raises
    ------
    ConfigError, StrategyError, GridError
        When a setting cannot be used.
    """
    precompile(settings.matching.model, [chosen.file for chosen in settings.strategies], report)
    compile_entries()
    model = load_model(settings.matching.model)
    st = new_state()
    define_account(st, PAPER_ACCOUNT, trading_state)
    for instrument in settings.instruments:
        define_instrument(st, instrument)
        define_limits(st, settings, instrument)
    money = money_of(settings.instruments)
    define_money(st, money, settings.instruments, {})
    for venue, currency in money.wallets:
        define_wallet(st, money, PAPER_ACCOUNT, venue, currency, whole_units(PAPER_BALANCE))
    use_model(
        st,
        model,
        entry_latency_ns=settings.matching.entry_latency_us * NS_PER_US,
        response_latency_ns=settings.matching.response_latency_us * NS_PER_US,
    )
    loaded = []
    for chosen in settings.strategies:
        strategy = load_strategy(Path(chosen.file))
        define_strategy(
            st,
            strategy,
            account=PAPER_ACCOUNT,
            instrument=settings.instrument(chosen.instrument).id,
            parameters=dict(chosen.parameters),
        )
        loaded.append(strategy)
    return Core(st, tuple(loaded), model)
