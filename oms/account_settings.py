"""Settings of accounts, strategies and what they may do: limits, balances, modes, currencies, rules.

Limits are required wherever an account trades: none has a silent default. Those of a strategy narrow its account's.
"""

from __future__ import annotations

import re
from datetime import time
from pathlib import Path
from typing import Final, Literal
from zoneinfo import ZoneInfo

import msgspec

from oms.checks import MAX_NUMBER, ConfigError, check_finite, check_number
from oms.decimals import GridError, scaled

LARGEST_LIMITS: Final = {
    "max_order_notional": 4 * 10**10,
    "price_collar": 100,
    "max_orders_per_second": 10**9,
    "max_cancels_per_second": 10**9,
    "max_gross_exposure": 4 * 10**10,
    "max_net_exposure": 4 * 10**10,
    "max_leverage": 10**6,
    "max_daily_loss": 4 * 10**10,
    "max_drawdown": 4 * 10**10,
    "capital": 4 * 10**10,
    "max_book_age_ms": 10**9,
    "duplicate_window_ms": 10**9,
}
"""Limits beyond these do not fit the core's integers."""
MAX_LEVERAGE: Final = 1_000
MAX_BALANCE: Final = 4 * 10**10

_RESET: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d) (\S+)")


def _check_limit(name: str, value: str | int) -> None:
    check_number(f"risk limit {name}", str(value), LARGEST_LIMITS.get(name, MAX_NUMBER))
    if name in ("max_orders_per_second", "max_cancels_per_second") and value < 1:  # type: ignore[operator]
        raise ConfigError(f"risk limit {name} {value} lets nothing through: use 1 or more")
    if name in CASH_LIMITS or name in ("max_leverage", "capital"):
        try:
            scaled(f"risk limit {name}", str(value), f"risk limit {name}")
        except GridError as error:
            raise ConfigError(str(error)) from None


CASH_LIMITS: Final = ("max_gross_exposure", "max_net_exposure", "max_daily_loss", "max_drawdown")
"""Limits of an account or a strategy as a whole that are amounts of the reporting currency."""


class RiskSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pre-trade limits of one instrument for one account; every number is required, none has a silent default."""

    max_order_qty: str
    max_order_notional: str
    price_collar: str
    """Farthest distance of a limit price from the market, as a fraction: ``0.05`` is 5 %."""
    max_position: str
    max_open_orders: int
    max_orders_per_second: int
    max_book_age_ms: int
    """An order is refused when nothing has been heard of its book for longer."""
    duplicate_window_ms: int
    """A copy of a new order (side, price, quantity) within it is refused while the first is open; 0: never."""
    self_trade: Literal["refuse", "allow"] = "refuse"
    """``allow`` lets an order meet an own resting one: for venues that prevent it themselves."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if name != "self_trade":
                _check_limit(name, getattr(self, name))
        if self.max_book_age_ms < 1:
            raise ConfigError("risk limit max_book_age_ms 0 makes every book too old: use 1 or more")


class AccountSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One account: its modes, its money, and its limits as a whole, which are all required."""

    position_mode: Literal["netting", "hedging"]
    """``netting``: one position an instrument; ``hedging``: a long and a short one, apart."""
    margin_mode: Literal["cross", "isolated"]
    cost_basis: Literal["average", "fifo"]
    leverage: str
    """What initial margin is computed at, within each instrument's own bounds."""
    day_reset: str
    """When the day of loss limits and DAY orders ends: ``00:00 UTC``, ``17:00 America/New_York``."""
    balances: dict[str, str] = {}
    """Money by venue and currency, such as ``"binance_usdm.USDT" = "100000"``; in firm mode the exchange's word."""
    max_gross_exposure: str
    """Reporting currency, as all amounts here; open orders included."""
    max_net_exposure: str
    max_leverage: str
    """Gross exposure to equity."""
    max_open_orders: int
    max_daily_loss: str
    max_drawdown: str
    """Farthest fall of the PnL from its highest point."""
    max_orders_per_second: int
    max_cancels_per_second: int
    """Cancels above it are counted and pass all the same."""
    risk: dict[str, RiskSettings] = {}
    """Limits by instrument, in the place of the top-level ``[risk]``'s of that instrument."""

    def __post_init__(self) -> None:
        for name in SCOPE_LIMITS:
            _check_limit(name, getattr(self, name))
        _check_exact("leverage", self.leverage, 1, MAX_LEVERAGE)
        parse_day_reset(self.day_reset)
        for wallet, text in self.balances.items():
            _check_exact(f"balance of {wallet}", text, 0, MAX_BALANCE)


SCOPE_LIMITS: Final = (
    *CASH_LIMITS,
    "max_leverage",
    "max_open_orders",
    "max_orders_per_second",
    "max_cancels_per_second",
)
"""Limits of an account or a strategy as a whole."""


class StrategyRisk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of one strategy, beside its account's; what is not given is not narrowed."""

    max_gross_exposure: str | None = None
    max_net_exposure: str | None = None
    capital: str | None = None
    """What it begins with, in the reporting currency: ``max_leverage`` is about this and its PnL."""
    max_leverage: str | None = None
    """Gross exposure to equity; it needs ``capital``."""
    max_open_orders: int | None = None
    max_daily_loss: str | None = None
    max_drawdown: str | None = None
    max_orders_per_second: int | None = None
    max_cancels_per_second: int | None = None
    max_order_qty: str | None = None
    max_order_notional: str | None = None
    price_collar: str | None = None
    max_position: str | None = None

    def __post_init__(self) -> None:
        for name, value in self.given().items():
            _check_limit(name, value)
        if (self.capital is None) != (self.max_leverage is None):
            given, missing = ("capital", "max_leverage") if self.max_leverage is None else ("max_leverage", "capital")
            raise ConfigError(
                f"a strategy's risk has {given} {getattr(self, given)} and no {missing}: leverage is exposure to "
                "capital and PnL, so give both or neither"
            )

    def given(self) -> dict[str, str | int]:
        """The limits that are set, by name."""
        found = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: value for name, value in found.items() if value is not None}


class StrategySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One strategy: its file, the instrument it is given, its account, limits of its own, its parameters by name."""

    file: str
    instrument: str
    name: str = ""
    account: str = ""
    """Empty: the session's."""
    parameters: dict[str, float] = {}
    risk: StrategyRisk = StrategyRisk()

    @property
    def title(self) -> str:
        """The strategy's name, or its file's where it has none."""
        return self.name or Path(self.file).stem

    def __post_init__(self) -> None:
        for name, value in self.parameters.items():
            check_finite(f"parameter {name} of strategy {self.title}", value)


class CurrencySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one currency becomes the reporting currency: by an instrument's price, or at a fixed rate."""

    instrument: str = ""
    """One whose base and quote are the two currencies, either way round."""
    rate: str = ""
    """Units of the reporting currency for one of this."""

    def __post_init__(self) -> None:
        if bool(self.instrument) == bool(self.rate):
            raise ConfigError("a currency has either an instrument or a rate: give one of them")
        if self.rate and not check_number("currency rate", self.rate):
            raise ConfigError(f"currency rate {self.rate} makes everything worth nothing: it must be above zero")


class RuleSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A risk rule of the user's own."""

    file: str


class AlgorithmSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An execution algorithm of the user's own, beside those that come with zoms."""

    file: str


def _check_exact(what: str, text: str, smallest: int, largest: int) -> None:
    value = check_number(what, text, largest)
    if value < smallest:
        raise ConfigError(f"{what} {text} is too small: at least {smallest}")
    try:
        scaled(what, text, what)
    except GridError as error:
        raise ConfigError(str(error)) from None


def parse_day_reset(text: str) -> tuple[time, ZoneInfo]:
    """The time of day and the zone of a ``day_reset`` such as ``17:00 America/New_York``.

    Raises
    ------
    ConfigError
        When it is not like that, or no such zone is known.
    """
    match = _RESET.fullmatch(text)
    if match is None:
        raise ConfigError(f"day_reset {text!r} is not like '00:00 UTC' or '17:00 America/New_York'")
    hour, minute, name = match.groups()
    try:
        return time(int(hour), int(minute)), ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise ConfigError(
            f"day_reset {text!r} names time zone {name!r}, which is not known: use UTC or Area/City"
        ) from None
