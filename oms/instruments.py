"""Instruments of every kind, and the exact way from decimal text to integers.

Outside the hot path an instrument is an ``Instrument``; inside it is one row of ``INSTRUMENT``. Decimal strings become
integers here, exactly, and a value off the grid is refused. ``docs/instruments.md`` shows each kind.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Context, Decimal
from fractions import Fraction
from functools import cached_property
from hashlib import blake2b
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from oms.decimals import MAX_EXPONENT, Grid, GridError, parse_decimal, rate, scaled
from oms.definition_rows import DEFINITION, INSTRUMENT, SET_BY_ASSEMBLY
from oms.instrument_kinds import (
    DEFAULT_SETTLEMENT,
    EXAMPLES,
    INVERSE_KINDS,
    KINDS,
    MARGINED_KINDS,
    ONLY_FOR,
    OPTION_KINDS,
    REQUIRED,
    SETTLED_IN,
    InstrumentKind,
)
from oms.margin_tiers import MarginTier, OptionMargin, check_tiers, option_rates, tier_rows
from oms.records import CASH_SCALE, Reason

MAX_VALUE: Final = 2**62
MAX_RATIO: Final = 2**60
"""Largest numerator and denominator of a row's ratios: the kernels' products with small factors stay in int64."""
MAX_VERSION: Final = 2**16 - 1

_EXACT: Final = Context(prec=4 * MAX_EXPONENT)
_CURRENCY: Final = re.compile(r"[A-Za-z0-9]{1,16}")
_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00Z")


class Instrument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """One tradable instrument as settings and messages see it; numbers are decimal strings and stay exact."""

    id: int
    symbol: str
    venue: str
    kind: str
    """An InstrumentKind's name in lower case, such as ``linear_perpetual``."""
    tick: str
    lot: str
    version: int = 1
    """Of this definition: 1 to 65535; a venue's change of tick, lot or limits makes the next one."""
    base: str = ""
    """The currency that is bought and sold, such as ``BTC``."""
    quote: str = ""
    """The currency that the price is in."""
    settlement: str = ""
    """The currency that PnL and fees are in; empty: quote, for inverse kinds base."""
    multiplier: str = "1"
    """Linear, option: units of base in one contract; inverse: of quote; quanto: of settlement, a point of price."""
    maker_fee_rate: str = "0.0002"
    taker_fee_rate: str = "0.0005"
    min_qty: str = "0"
    max_qty: str = "0"
    """0: the venue states none."""
    min_notional: str = "0"
    """In the settlement currency."""
    expiry: str = ""
    """UTC, such as ``2026-12-25T08:00:00Z``."""
    strike: str = ""
    option_kind: str = ""
    """``call`` or ``put``."""
    underlying: str = ""
    """The instrument whose price an option is margined by: its symbol, or symbol and venue."""
    max_leverage: str = "1"
    margin_tiers: tuple[MarginTier, ...] = ()
    """Ascending; empty: one tier of 1 / max_leverage, half of it as maintenance."""
    option_margin: OptionMargin | None = None
    """Rates by which a short option is margined; None: the defaults."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"instrument {self.symbol} has kind {self.kind!r}: zoms trades {', '.join(KINDS)}")
        for what in ("tick", "lot", "multiplier"):
            if parse_decimal(f"{self.symbol}'s {what}", getattr(self, what)) <= 0:
                raise ValueError(f"{self.symbol}'s {what} {getattr(self, what)} must be above zero")
        if not 1 <= self.version <= MAX_VERSION:
            raise ValueError(f"{self.symbol}'s version {self.version} must be 1 to {MAX_VERSION}")
        for what in REQUIRED[self.kind]:
            if not getattr(self, what):
                raise ValueError(f"{self.kind} {self.symbol} needs {what}, such as {what} = {EXAMPLES[what]}")
        for what, kinds in ONLY_FOR.items():
            if getattr(self, what) and self.kind not in kinds:
                raise ValueError(f"{self.symbol} is {self.kind} and has no {what}: leave it out")
        self._settle_currencies()
        self._check_contract()

    def _settle_currencies(self) -> None:
        """Complete settlement and quote where the kind leaves no choice, and refuse what contradicts it."""
        allowed = [getattr(self, what) for what in SETTLED_IN[self.kind]]
        settlement = self.settlement or next(iter(allowed), "") or DEFAULT_SETTLEMENT
        if self.kind == "linear_perpetual" and not self.quote:
            msgspec.structs.force_setattr(self, "quote", settlement)
            allowed = [settlement]
        if allowed and settlement not in allowed:
            raise ValueError(
                f"{self.kind} {self.symbol} settles in {' or '.join(allowed)}, not in {settlement}: "
                "correct its settlement, base or quote, or its kind"
            )
        if not allowed and settlement in (self.base, self.quote):
            raise ValueError(
                f"{self.kind} {self.symbol} settles in {settlement}, which is its base or quote: "
                "such a contract is inverse or linear"
            )
        msgspec.structs.force_setattr(self, "settlement", settlement)
        for what in ("base", "quote", "settlement"):
            code = getattr(self, what)
            if code and not _CURRENCY.fullmatch(code):
                raise ValueError(f"{self.symbol}'s {what} {code!r} is no currency code: use letters and digits")
        if self.base and self.base == self.quote:
            raise ValueError(f"{self.symbol}'s base and quote are both {self.base}")

    def _check_contract(self) -> None:
        if self.kind == "spot" and Decimal(self.multiplier) != 1:
            raise ValueError(
                f"spot {self.symbol} has multiplier {self.multiplier}: a spot lot is its base, leave it out"
            )
        if self.option_kind and self.option_kind not in OPTION_KINDS:
            raise ValueError(f"{self.symbol}'s option_kind {self.option_kind!r} is neither call nor put")
        if self.strike and parse_decimal(f"{self.symbol}'s strike", self.strike) <= 0:
            raise ValueError(f"{self.symbol}'s strike {self.strike} must be above zero")
        leverage = parse_decimal(f"{self.symbol}'s max_leverage", self.max_leverage)
        if leverage < 1:
            raise ValueError(f"{self.symbol}'s max_leverage {self.max_leverage} must be at least 1")
        if leverage != 1 and self.kind not in MARGINED_KINDS:
            raise ValueError(f"{self.symbol} is {self.kind} and has no leverage: leave max_leverage out")
        _ = self.expiry_ts
        check_tiers(self.symbol, self.margin_tiers)
        _ = self._option_rates

    @cached_property
    def _option_rates(self) -> dict[str, int]:
        return option_rates(self.symbol, self.option_margin or OptionMargin()) if self.kind == "option" else {}

    @cached_property
    def _tick(self) -> Decimal:
        return Decimal(self.tick)

    @cached_property
    def _lot(self) -> Decimal:
        return Decimal(self.lot)

    @cached_property
    def _ticks(self) -> Grid:
        return Grid(self._tick)

    @cached_property
    def _lots(self) -> Grid:
        return Grid(self._lot)

    @property
    def inverse(self) -> bool:
        """True when the value of a quantity goes with one over the price."""
        return self.kind in INVERSE_KINDS

    @property
    def size(self) -> Fraction:
        """Lot times multiplier: what one lot stands for."""
        return Fraction(self._lot) * Fraction(Decimal(self.multiplier))

    @property
    def contract(self) -> int:
        """A number that stands for what versions of one contract share and a row has only as numbers of the session's:
        symbol, venue, currencies and underlying."""
        told = "/".join((self.symbol, self.venue, self.base, self.quote, self.settlement, self.underlying))
        return int.from_bytes(blake2b(told.encode(), digest_size=8).digest(), "little", signed=True)

    @cached_property
    def cash_per_tick_lot(self) -> Fraction:
        """Cash (1e-8 of the settlement currency) that one lot gains when the price rises by one tick; not inverse."""
        return Fraction(self._tick) * self.size * CASH_SCALE

    @cached_property
    def inverse_cash(self) -> Fraction:
        """Cash value of one lot at a price of one tick, for inverse kinds: at ``px`` ticks it is this over ``px``."""
        return self.size / Fraction(self._tick) * CASH_SCALE

    @cached_property
    def expiry_ts(self) -> int:
        """The expiry in ns since the epoch; 0 when it has none."""
        if not self.expiry:
            return 0
        try:
            moment = datetime.fromisoformat(self.expiry)
        except ValueError:
            raise ValueError(
                f"{self.symbol}'s expiry {self.expiry!r} is no time: write it like {EXAMPLES['expiry']}"
            ) from None
        if moment.utcoffset() != timedelta(0):
            raise ValueError(f"{self.symbol}'s expiry {self.expiry} is not in UTC: write it like {EXAMPLES['expiry']}")
        return (moment - _EPOCH) // timedelta(microseconds=1) * 1_000

    def px_to_ticks(self, text: str, what: str = "price") -> int:
        """A decimal price as ticks, exactly; raises ``GridError`` when it is not on the grid."""
        return self._to_grid(text, self._ticks, "tick", Reason.BAD_PRICE, what)

    def average_to_ticks(self, text: str, what: str = "average price") -> tuple[int, int]:
        """A decimal price on no grid as whole ticks, and 1e-8 ticks above them, rounded half to even."""
        units = round(Fraction(parse_decimal(what, text)) * CASH_SCALE / Fraction(self._tick))
        ticks, fraction = divmod(units, CASH_SCALE)
        if abs(ticks) > MAX_VALUE:
            raise GridError(f"{what} {text} of {self.symbol} is too large", Reason.OVERFLOW)
        return ticks, fraction

    def qty_to_lots(self, text: str, what: str = "quantity") -> int:
        """A decimal quantity as lots, exactly; raises ``GridError`` when it is not on the grid."""
        return self._to_grid(text, self._lots, "lot", Reason.QTY_BELOW_MIN, what)

    def _to_grid(self, text: str, grid: Grid, step: str, reason: Reason, what: str) -> int:
        steps, rest = grid.steps(what, text)
        if rest:
            raise GridError(f"{what} {text} is not on {self.symbol}'s {step} {getattr(self, step)}", reason)
        if abs(steps) > MAX_VALUE:
            raise GridError(f"{what} {text} of {self.symbol} is too large", Reason.OVERFLOW)
        return steps

    def px_from_ticks(self, ticks: float) -> str:
        """Ticks as a decimal price; exact for integers, and for the half ticks of a mid price."""
        if isinstance(ticks, float):
            return format(_EXACT.multiply(Decimal(ticks), self._tick), "f")
        return self._ticks.text(int(ticks))

    def qty_from_lots(self, lots: int) -> str:
        """Lots as a decimal quantity, exactly."""
        return self._lots.text(int(lots))

    def amount_to_cash(self, text: str, what: str) -> int:
        """A decimal amount of the settlement currency in cash units; raises ``GridError`` below 1e-8."""
        return scaled(what, text, f"{self.symbol}'s {what}")

    def row(self) -> npt.NDArray[np.void]:
        """This instrument as a one-row ``INSTRUMENT`` array.

        Raises
        ------
        GridError
            When one of its numbers is off its own grid.
        OverflowError
            When its ratios do not fit 64-bit integers.
        """
        row = np.zeros(1, INSTRUMENT)
        row["defined"] = 1
        row["version"] = self.version
        row["kind"] = InstrumentKind[self.kind.upper()]
        row["inverse"] = self.inverse
        row["coin_settled"] = self.kind == "option" and self.settlement == self.base
        for name, ratio in {
            "cash": Fraction(1) if self.inverse else self.cash_per_tick_lot,
            "inverse": self.inverse_cash if self.inverse else Fraction(0),
            "tick": Fraction(self._tick) * CASH_SCALE,
            "base": Fraction(self._lot) * CASH_SCALE,
            "multiplier": Fraction(Decimal(self.multiplier)),
            "size": self.size,
        }.items():
            if max(ratio.numerator, ratio.denominator) > MAX_RATIO:
                raise OverflowError(f"{self.symbol}'s {name} ratio {ratio} does not fit")
            row[f"{name}_numerator"] = ratio.numerator
            row[f"{name}_denominator"] = ratio.denominator
        row["min_qty"] = max(self.qty_to_lots(self.min_qty, "min_qty"), 1)
        row["max_qty"] = self.qty_to_lots(self.max_qty, "max_qty") or MAX_VALUE
        row["min_notional"] = self.amount_to_cash(self.min_notional, "min_notional")
        row["maker_fee_rate"] = rate(f"{self.symbol}'s maker fee rate", self.maker_fee_rate)
        row["taker_fee_rate"] = rate(f"{self.symbol}'s taker fee rate", self.taker_fee_rate)
        row["expiry_ts"] = self.expiry_ts
        row["strike"] = rate(f"{self.symbol}'s strike", self.strike or "0")
        row["option_kind"] = OPTION_KINDS.get(self.option_kind, 0)
        for name in SET_BY_ASSEMBLY:
            row[name] = -1
        row["contract"] = self.contract
        row["max_leverage"] = rate(f"{self.symbol}'s max_leverage", self.max_leverage)
        for name, value in self._option_rates.items():
            row[name] = value
        if self.kind in MARGINED_KINDS:
            tiers = tier_rows(self.symbol, self.margin_tiers, Decimal(self.max_leverage))
            row["tier_count"] = len(tiers)
            row["tiers"][0, : len(tiers)] = tiers
        return row

    def definition(self) -> npt.NDArray[np.void]:
        """This instrument as one DEFINITION record, for a core that runs; raises as ``row`` does."""
        record = np.zeros(1, DEFINITION)
        record["instrument"] = self.id
        record["version"] = self.version
        record["row"] = self.row()
        return record


def underlying_of(instrument: Instrument, known: tuple[Instrument, ...]) -> Instrument | None:
    """The instrument that ``instrument`` names as its underlying; None when it names none.

    Raises
    ------
    ValueError
        When ``known`` has no such instrument, or several.
    """
    name = instrument.underlying
    if not name:
        return None
    found = [each for each in known if name in (each.symbol, f"{each.symbol}.{each.venue}")]
    if len(found) != 1:
        problem = "is not defined" if not found else "is at several venues: say which, as in SYMBOL.venue"
        raise ValueError(f"{instrument.symbol}'s underlying {name} {problem}")
    return found[0]
