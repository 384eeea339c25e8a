"""Settings of how a session runs: the stream that it replays, the exchange model, the journal."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Final, Literal

import msgspec

from oms.checks import ConfigError
from oms.core.state import MAX_FEE_TIERS
from oms.decimals import GridError, rate
from oms.records import CASH_SCALE

BOOK_MODELS: Final = ("displayed", "touch", "no_partial_fill", "partial_fill", "next_tick", "probabilistic")
"""Exchange models that go by a book."""
BAR_MODEL: Final = "bar"
"""The one for bars."""
MATCHING_MODELS: Final = (*BOOK_MODELS, BAR_MODEL)
"""Exchange models by name: the modules of ``backtest/matching`` that can be chosen."""
MAX_JOURNAL_MB: Final = 4_096
MAX_FEE_PER_UNIT: Final = 20
"""Of the settlement currency: times the largest quantity it fits 64 bits."""
MAX_CONNECTIONS: Final = 8
MAX_PORT: Final = 65_535
LEAST_DEAD_MAN_S: Final = 10.0
MAX_DEAD_MAN_S: Final = 3_600.0
_MOST: Final = {
    "queue_power": 100,
    "feed_latency_factor": 1_000,
    "slippage_ticks": 1_000_000,
    "impact_rate": 1,
    "fill_chance": 1,
    "slip_chance": 1,
    "seed": 2**62,
}
"""Numbers of the exchange model that are 0 or more, and the largest that each may be."""


class ReplaySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The recorded stream that stands in for an exchange."""

    file: str = ""
    """Empty: there is none, as where market data are live."""
    speed: str = "1"
    """A factor of recorded time such as ``1`` or ``10``, or ``max``: as fast as everyone can take it."""
    duration_s: float = 0.0
    """Stop after this much recorded time; 0: the whole file."""
    loop: bool = False
    """Start again at the end, with time going on: for long runs."""

    def __post_init__(self) -> None:
        if self.speed != "max":
            try:
                factor = float(self.speed)
            except ValueError:
                factor = math.nan
            if not 0 < factor < math.inf:
                raise ConfigError(f"replay speed {self.speed!r} is not a factor above zero such as 1 or 10, nor 'max'")
        if not 0 <= self.duration_s < math.inf:
            raise ConfigError(f"replay duration_s {self.duration_s} must be zero (the whole file) or more seconds")


class SandboxSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sandbox exchange on this machine that stands for a venue."""

    port: int
    ca: str
    """The file with the certificate of its authority."""

    def __post_init__(self) -> None:
        if not 0 < self.port <= MAX_PORT:
            raise ConfigError(f"sandbox port {self.port} must be 1 to {MAX_PORT}")


class LiveSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Market data from the exchanges themselves, instead of a recorded stream."""

    instruments: tuple[str, ...] = ()
    """Whose data to take; empty: none, the recorded stream is replayed."""
    connections: int = 1
    """To each stream; what several bring is taken from the one that brings it first."""
    silent_s: float = 10.0
    """A connection that has brought nothing for so long is opened anew, a book that nothing is heard of is stale."""
    sandbox: dict[str, SandboxSettings] = {}
    """By venue the sandbox that stands for it; a venue that is not named is the exchange itself."""

    def __post_init__(self) -> None:
        if not 1 <= self.connections <= MAX_CONNECTIONS:
            raise ConfigError(f"live connections {self.connections} must be 1 to {MAX_CONNECTIONS}")
        if not 0 < self.silent_s < math.inf:
            raise ConfigError(f"live silent_s {self.silent_s} must be above zero seconds")


class FirmSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Real orders: what firm mode has beside the rest."""

    trade: bool = False
    """Whether orders leave; without it the session watches only. The command line says it, no file may."""
    orders_at_end: Literal["cancel", "keep_stops", "keep"] = "keep_stops"
    """What becomes of open orders when the session ends. ``keep_stops``: reduce-only stops that stand at the exchange
    stay, as the positions do that they protect, all others are cancelled. While the core is being started again they
    stay with ``cancel`` too."""
    reconcile_s: float = 30.0
    """Between two reconciliations of a quiet session."""
    dead_man_s: float = 60.0
    """The exchange cancels everything when it has heard nothing of the session for so long; 0: it does not."""
    max_command_age_s: float = 5.0
    """A new order that has waited longer on its way to the exchange's gateway is not sent any more."""

    def __post_init__(self) -> None:
        for name in ("reconcile_s", "max_command_age_s"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"firm {name} {getattr(self, name)} must be above zero seconds")
        if self.dead_man_s and not LEAST_DEAD_MAN_S <= self.dead_man_s <= MAX_DEAD_MAN_S:
            raise ConfigError(
                f"firm dead_man_s {self.dead_man_s} must be {LEAST_DEAD_MAN_S:g} to {MAX_DEAD_MAN_S:g} seconds, or 0"
            )


class FeeTierSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fee rates of an account from a traded value on."""

    traded_value: str
    """In the reporting currency, over the 30 days before."""
    maker_fee_rate: str
    taker_fee_rate: str


IMPACT_POWERS: Final[dict[str, float]] = {"none": 0.0, "linear": 1.0, "square_root": 0.5}
"""Laws of market impact, and the power of the quantity in each."""


class MatchingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The exchange model of paper mode and the backtest; see ``backtest/matching/``."""

    model: str = "displayed"
    queue: str = "risk_averse"
    queue_power: float = 3.0
    """The exponent n of the queue models ``power1`` to ``power3``."""
    entry_latency_us: int = 0
    response_latency_us: int = 0
    feed_latency_factor: float = 0.0
    """How much of the feed's latency at the time comes to both latencies."""
    latencies: str = ""
    """File of recorded order latencies, which are added to both; empty: none."""
    slippage_ticks: int = 0
    """By how much every taker pays more, or gets less, than the model says."""
    impact: Literal["none", "linear", "square_root"] = "none"
    """How the price moves against a taker with what it takes: ``IMPACT_POWERS``."""
    impact_rate: float = 0.0
    """By which part of the price an order of ``impact_qty`` moves it."""
    impact_qty: float = 1.0
    """In the instrument's own unit."""
    fill_chance: float = 1.0
    """Of ``probabilistic``: that a trade at a resting order's price fills it."""
    slip_chance: float = 0.0
    """Of ``probabilistic``: that a taker fills one tick worse."""
    seed: int = 0
    """Of the random numbers of ``probabilistic``."""
    fees: Literal["value", "quantity", "tiers"] = "value"
    """On what: the value, at the instrument's rates; the quantity; or the value, at the rates of ``fee_tiers``."""
    maker_fee_per_unit: str = "0"
    """In the settlement currency, for a unit of the quantity; negative: a rebate."""
    taker_fee_per_unit: str = "0"
    fee_tiers: tuple[FeeTierSettings, ...] = ()
    """Ascending from a traded value of 0 on."""
    liquidation: Literal["bankruptcy", "mark", "off"] = "bankruptcy"
    """At which price a position is closed whose maintenance margin is reached; ``off``: it stays."""
    liquidation_fee_rate: str = "0"
    """Of the value that is closed at the mark; at most what is left of the margin."""

    def __post_init__(self) -> None:
        for name, most in _MOST.items():
            if not 0 <= getattr(self, name) <= most:
                raise ConfigError(f"matching {name} {getattr(self, name)} must be 0 to {most}")
        for name in ("entry_latency_us", "response_latency_us"):
            if getattr(self, name) < 0:
                raise ConfigError(f"matching {name} {getattr(self, name)} is negative: it must be zero or more")
        if not 0 < self.impact_qty < math.inf:
            raise ConfigError(f"matching impact_qty {self.impact_qty} must be above zero: it divides")
        if self.impact != "none" and self.impact_rate == 0:
            raise ConfigError(f"matching impact {self.impact!r} needs impact_rate: a part of the price, such as 0.001")
        self._check_fees()
        if not 0 <= (fee_rate := _rate("liquidation_fee_rate", self.liquidation_fee_rate)) <= CASH_SCALE:
            raise ConfigError(f"matching liquidation_fee_rate {self.liquidation_fee_rate} must be 0 to 1")
        if fee_rate and self.liquidation != "mark":
            raise ConfigError(
                f"matching liquidation_fee_rate {self.liquidation_fee_rate} is charged at the mark price: set "
                'liquidation = "mark"; at the price of bankruptcy nothing is left for a fee'
            )

    def check_book_model(self) -> None:
        """Raise ``ConfigError`` when the exchange model is the one for bars, by which no order meets a tick."""
        if self.model == BAR_MODEL:
            raise ConfigError(
                f"exchange model {BAR_MODEL!r} is for bars, and the data are ticks: use {', '.join(BOOK_MODELS)}"
            )

    def _check_fees(self) -> None:
        for name in ("maker_fee_per_unit", "taker_fee_per_unit"):
            if abs(_rate(name, getattr(self, name))) > MAX_FEE_PER_UNIT * CASH_SCALE:
                raise ConfigError(
                    f"matching {name} {getattr(self, name)} must be -{MAX_FEE_PER_UNIT} to {MAX_FEE_PER_UNIT}"
                )
        if self.fees == "tiers" and not self.fee_tiers:
            raise ConfigError('matching fees "tiers" needs fee_tiers: give at least the one from traded_value "0" on')
        if len(self.fee_tiers) > MAX_FEE_TIERS:
            raise ConfigError(f"matching fee_tiers has {len(self.fee_tiers)} rows: the core holds {MAX_FEE_TIERS}")
        floors = [_rate("traded_value", tier.traded_value) for tier in self.fee_tiers]
        if floors and (floors[0] != 0 or any(after <= before for before, after in pairwise(floors))):
            said = ", ".join(tier.traded_value for tier in self.fee_tiers)
            raise ConfigError(f"matching fee_tiers have traded_value {said}: let them ascend from 0")
        for tier in self.fee_tiers:
            for name in ("maker_fee_rate", "taker_fee_rate"):
                if abs(_rate(name, getattr(tier, name))) > CASH_SCALE:
                    raise ConfigError(f"matching fee_tiers {name} {getattr(tier, name)} is over the whole value")


def _rate(name: str, text: str) -> int:
    """A number of the exchange model's in 1e-8; raises ``ConfigError`` for what is none."""
    try:
        return rate(f"matching {name}", text)
    except GridError as error:
        raise ConfigError(str(error)) from None


SYNC_OF_MODE: Final[dict[str, Literal["always", "batch", "os"]]] = {"paper": "os", "firm": "batch"}
"""What ``journal.sync`` is where it is not set: real orders are on disk before they leave."""


class JournalSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the core's journal holds, and when it counts as written; see ``docs/journal.md``."""

    sync: Literal["", "always", "batch", "os"] = ""
    """When an entry is on disk: ``always`` before the core goes on, ``batch`` before anything of it leaves the core,
    ``os`` when the system sees fit. Empty: by mode, ``SYNC_OF_MODE``."""
    inputs: Literal["orders", "all"] = "orders"
    """``orders``: commands and reports; ``all``: ticks and timers too, so that the session can be replayed whole."""
    segment_mb: int = 64
    """Size from which on the next file is begun."""
    held_mb: int = 64
    """With ``batch``: how much may wait for the disk; then the core takes no more input until the disk is done."""
    snapshot_mb: int = 512
    """Journal after which the next snapshot is taken; there is one at the start and one at the end of a session too."""
    snapshots_kept: int = 2
    session_kept_mb: int = 0
    """Of the journal of the session that runs, what is kept although snapshots cover it; 0: all of it."""
    sessions_kept: int = 8
    """Sessions whose journal is kept although a snapshot covers it, for the recorder, rpc and ``zoms replay``."""

    def __post_init__(self) -> None:
        for name in ("snapshots_kept", "sessions_kept"):
            if getattr(self, name) < 2:
                raise ConfigError(f"journal {name} {getattr(self, name)} must be 2 or more: one may turn out damaged")
        if self.session_kept_mb < 0:
            raise ConfigError(f"journal session_kept_mb {self.session_kept_mb} must be MiB to keep, or 0: all")
        for name in ("segment_mb", "held_mb", "snapshot_mb"):
            value = getattr(self, name)
            if not 1 <= value <= MAX_JOURNAL_MB:
                raise ConfigError(f"journal {name} {value} must be 1 to {MAX_JOURNAL_MB} MiB")
