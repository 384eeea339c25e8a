"""A session's figures: what its events and heartbeats add up to, for the live view and the summary."""

from __future__ import annotations

import ast
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from oms.bus import Frame
from oms.child import Child, ChildState
from oms.config import Settings, qualified_symbol
from oms.decimals import cash_text
from oms.instruments import Instrument
from oms.records import BookState, EventKind, InstrumentState, OrderFlag, OrderState, Reason, TradingState

RATE_WINDOW_S: Final = 3.0
SHOWN_FILLS: Final = 8
LATENCY_PERCENTILES: Final = ("p50", "p99", "p999", "max")

BAD_INPUT: Final = (("gateway", "refused"), ("core", "malformed"))
"""The counters of refused input: lines of the recording, frames of the bus."""

_SHOWN_KINDS: Final = np.zeros(256, np.bool_)
_SHOWN_KINDS[
    [
        EventKind.ORDER_FILLED,
        EventKind.POSITION,
        EventKind.TRADING_STATE,
        EventKind.STRATEGY_HALTED,
        EventKind.BOOK_STATE,
        EventKind.LOG,
        EventKind.SCOPE,
        EventKind.KILLED,
        EventKind.INSTRUMENT,
        EventKind.DEFINITION_REFUSED,
        EventKind.LEG_TURNED,
        EventKind.HELD_ENDED,
        EventKind.FUNDING,
        EventKind.SETTLED,
        EventKind.POSITION_ADOPTED,
        EventKind.ORDER_ADOPTED,
        EventKind.ORDER_ENTRY,
    ]
] = True
_REJECTED: Final = int(OrderState.REJECTED)


class PositionFigures(NamedTuple):
    """An account's position in one instrument, as decimal text; amounts in the settlement currency."""

    account: str
    instrument: str
    position_side: str
    """``short`` or ``long`` in hedging mode, else empty."""
    currency: str
    qty: str
    average_price: str
    mark_price: str
    realized_pnl: str
    """Before fees."""
    unrealized_pnl: str
    fees: str
    fills: int
    open_orders: int


class StandingFigures(NamedTuple):
    """How an account stands as a whole; amounts in the reporting currency."""

    account: str
    currency: str
    pnl: str
    day_pnl: str
    gross_exposure: str
    net_exposure: str
    margin: str


class FillFigures(NamedTuple):
    ts: int
    """Record time, ns."""
    instrument: str
    side: str
    qty: str
    price: str
    liquidity: str
    owner: str


class Figures:
    """Adds up the core's events and the family's heartbeats.

    Attributes
    ----------
    positions : dict of (account, instrument, leg) to PositionFigures
        The accounts'; what of them is a strategy's is not told apart here.
    standings : dict of int to StandingFigures
        By account.
    fills : deque of FillFigures
        The last ones, the newest last.
    notes, strategy_log : deque of (int, str)
        What books, halts and the trading state said, and what strategies logged: wall clock ns, text.
    entry : dict of str to Reason
        By instrument: why its exchange is sent no new orders, NONE where it is.
    client_lines : deque of str
        What the demo's client printed.
    next_seq, session, events_lost : int
        Place in the core's event stream, and how many of its events were missed here.
    """

    def __init__(self, settings: Settings, children: Mapping[str, Child]) -> None:
        self.settings = settings
        self.children = children
        self.positions: dict[tuple[int, int, int], PositionFigures] = {}
        self.standings: dict[int, StandingFigures] = {}
        self.fills: deque[FillFigures] = deque(maxlen=SHOWN_FILLS)
        self.notes: deque[tuple[int, str]] = deque(maxlen=100)
        self.client_lines: deque[str] = deque(maxlen=100)
        self.strategy_log: deque[tuple[int, str]] = deque(maxlen=100)
        self.entry: dict[str, Reason] = {}
        self.next_seq = 0
        self.session = 0
        self.events_lost = 0
        self.started_at = time.monotonic()
        self._definitions = settings.definitions()
        self._accounts = settings.account_names
        self._log_messages = {number: log_messages(Path(each.file)) for number, each in enumerate(settings.strategies)}
        self._rates: deque[tuple[float, float]] = deque()
        self._handlers: Final = {
            int(EventKind.ORDER_FILLED): self._on_fill,
            int(EventKind.POSITION): self._on_position,
            int(EventKind.TRADING_STATE): self._on_trading_state,
            int(EventKind.STRATEGY_HALTED): self._on_strategy_halted,
            int(EventKind.BOOK_STATE): self._on_book_state,
            int(EventKind.LOG): self._on_log,
            int(EventKind.SCOPE): self._on_scope,
            int(EventKind.KILLED): self._on_killed,
            int(EventKind.INSTRUMENT): self._on_instrument,
            int(EventKind.DEFINITION_REFUSED): self._on_definition_refused,
            int(EventKind.LEG_TURNED): self._on_leg_turned,
            int(EventKind.HELD_ENDED): self._on_held_ended,
            int(EventKind.FUNDING): self._on_funding,
            int(EventKind.SETTLED): self._on_settled,
            int(EventKind.POSITION_ADOPTED): self._on_adopted,
            int(EventKind.ORDER_ADOPTED): self._on_adopted,
            int(EventKind.ORDER_ENTRY): self._on_order_entry,
        }
        if settings.unconverted:
            self.note(
                f"{', '.join(settings.unconverted)} cannot be converted to {settings.reporting_currency}: orders that "
                f"depend on it are refused, add [currencies.{settings.unconverted[0]}] to the settings"
            )

    def take(self, frame: Frame) -> None:
        """Take one frame of events."""
        self.session = frame.header.session
        self.next_seq = frame.header.seq + frame.header.record_count
        self.events_lost += frame.lost
        for event in frame.records[_SHOWN_KINDS[frame.records["kind"]]]:
            self._handlers[int(event["kind"])](event)

    def note(self, text: str) -> None:
        """Add a line of text to what happened."""
        self.notes.append((time.time_ns(), text))

    def _definition(self, event: Any) -> Instrument | None:
        return self._definitions.of(int(event["instrument"]), int(event["version"]))

    def _symbol(self, event: Any) -> str:
        instrument = self._definition(event)
        return qualified_symbol(instrument) if instrument else f"instrument {event['instrument']}"

    def _account(self, event: Any) -> str:
        number = int(event["account"])
        return self._accounts[number] if 0 <= number < len(self._accounts) else f"account {number}"

    def _strategy(self, event: Any) -> str:
        index = int(event["strategy"])
        return self.settings.strategies[index].title if 0 <= index < len(self.settings.strategies) else "client"

    def _on_fill(self, event: Any) -> None:
        instrument = self._definition(event)
        if instrument is None:
            return
        self.fills.append(
            FillFigures(
                ts=int(event["ts"]),
                instrument=qualified_symbol(instrument),
                side="buy" if event["side"] > 0 else "sell",
                qty=instrument.qty_from_lots(event["last_qty"]),
                price=instrument.px_from_ticks(int(event["last_px"])),
                liquidity=("", "maker", "taker")[int(event["liquidity"])],
                owner=self._strategy(event),
            )
        )

    def _on_position(self, event: Any) -> None:
        instrument = self._definition(event)
        if instrument is None or event["strategy"] >= 0:
            return
        account, leg = int(event["account"]), int(bool(event["flags"] & OrderFlag.SHORT_LEG))
        name = self._account(event)
        hedging = name in self.settings.accounts and self.settings.accounts[name].position_mode == "hedging"
        self.positions[account, instrument.id, leg] = PositionFigures(
            account=name,
            instrument=qualified_symbol(instrument),
            position_side=("long", "short")[leg] if hedging else "",
            currency=instrument.settlement,
            qty=instrument.qty_from_lots(event["position_qty"]),
            average_price=average_price_text(instrument, int(event["px"])),
            mark_price=instrument.px_from_ticks(int(event["last_px"]) / 2),
            realized_pnl=cash_text(event["realized_pnl"]),
            unrealized_pnl=cash_text(event["qty"]),
            fees=cash_text(event["fees"]),
            fills=int(event["last_qty"]),
            open_orders=int(event["filled_qty"]),
        )

    def _on_trading_state(self, event: Any) -> None:
        whose = ""
        if event["strategy"] >= 0:
            whose = f" of strategy {self._strategy(event)}"
        elif len(self._accounts) > 1:
            whose = f" of account {self._account(event)}"
        self.note(f"trading{whose} is {TradingState(int(event['aux'])).name}: {Reason(int(event['reason'])).name}")

    def _on_scope(self, event: Any) -> None:
        number = int(event["aux"])
        if number >= len(self._accounts):
            return
        self.standings[number] = StandingFigures(
            account=self._accounts[number],
            currency=self.settings.reporting_currency,
            pnl=cash_text(event["px"]),
            day_pnl=cash_text(event["px"] - event["filled_qty"]),
            gross_exposure=cash_text(event["last_qty"]),
            net_exposure=cash_text(event["position_qty"]),
            margin=cash_text(event["realized_pnl"]),
        )

    def _on_killed(self, event: Any) -> None:
        closing = ", its positions are being closed" if event["aux"] else ""
        self.note(f"kill switch of account {self._account(event)}{closing}")

    def _on_instrument(self, event: Any) -> None:
        self._definitions.put_in_force(int(event["instrument"]), int(event["px"]))
        state = InstrumentState(int(event["aux"])).name
        self.note(f"{self._symbol(event)} is {state} in version {event['px']}: {Reason(int(event['reason'])).name}")

    def _on_definition_refused(self, event: Any) -> None:
        reason = Reason(int(event["reason"])).name
        self.note(f"version {event['px']} of {self._symbol(event)} was not taken: {reason}")

    def _on_leg_turned(self, event: Any) -> None:
        instrument = self._definition(event)
        side = "short" if event["flags"] & OrderFlag.SHORT_LEG else "long"
        qty = instrument.qty_from_lots(event["qty"]) if instrument else event["qty"]
        self.note(
            f"a fill of order {event['order_id']} has turned the {side} position of {self._account(event)} in "
            f"{self._symbol(event)} over, to {qty}: close it with a reduce-only order"
        )

    def _on_held_ended(self, event: Any) -> None:
        """Only what the core did not let through at its trigger is worth a line."""
        if event["state"] == _REJECTED:
            self.note(
                f"order {event['order_id']} in {self._symbol(event)} was refused when its turn came: "
                f"{Reason(int(event['reason'])).name}"
            )

    def _on_funding(self, event: Any) -> None:
        instrument = self._definition(event)
        currency = instrument.settlement if instrument else ""
        self.note(f"funding of {cash_text(event['fees'])} {currency} on {self._symbol(event)}, {self._account(event)}")

    def _on_settled(self, event: Any) -> None:
        self.note(f"position of {self._account(event)} in {self._symbol(event)} was settled")

    def _on_adopted(self, event: Any) -> None:
        if event["reason"] == Reason.LIQUIDATION:
            self.note(f"{self._account(event)} is liquidated in {self._symbol(event)}: its margin is used up")
            return
        what = "an order" if event["kind"] == EventKind.ORDER_ADOPTED else "the position"
        self.note(f"{what} of {self._account(event)} in {self._symbol(event)} was adopted")

    def _on_order_entry(self, event: Any) -> None:
        reason = Reason(int(event["reason"]))
        self.entry[self._symbol(event)] = reason
        takes = "new orders may leave" if reason is Reason.NONE else f"no new orders leave: {reason.name}"
        self.note(f"{self._symbol(event)}: {takes}")

    def _on_strategy_halted(self, event: Any) -> None:
        self.note(f"strategy {self._strategy(event)} halted: {Reason(int(event['reason'])).name}")

    def _on_book_state(self, event: Any) -> None:
        state, reason = BookState(int(event["aux"])), Reason(int(event["reason"]))
        self.note(f"book of {self._symbol(event)} {state.name}: {reason.name}")

    def _on_log(self, event: Any) -> None:
        arguments = [int(event[name]) for name in ("px", "qty", "last_px", "last_qty")]
        messages = self._log_messages.get(int(event["strategy"]), ())
        number = int(event["aux"])
        text = f"log {number}: " + " ".join(map(str, arguments))
        if 0 <= number < len(messages):
            with suppress(LookupError, ValueError):
                text = messages[number].format(*arguments)
        self.strategy_log.append((time.time_ns(), f"{self._strategy(event)}: {text}"))

    def counter(self, process: str, name: str) -> float:
        """A counter of the process of that name, or of all that have it for a role, over all that ran."""
        return sum(child.counter(name) for child in self._called(process))

    def now(self, process: str, name: str, default: float = 0.0) -> float:
        """The same as the last heartbeats say it, not added up over restarts; ``default`` where none does."""
        said = [child.heartbeat.counters for child in self._called(process) if child.heartbeat]
        found = [counters[name] for counters in said if name in counters]
        return sum(found) if found else default

    def _called(self, process: str) -> list[Child]:
        return [child for child in self.children.values() if process in (child.name, child.role)]

    @property
    def bad_input(self) -> float:
        """What was refused of the session's input, by ``BAD_INPUT``."""
        return sum(self.counter(process, name) for process, name in BAD_INPUT)

    @property
    def trading_state(self) -> TradingState:
        """The account's, as the core's last heartbeat says it."""
        return TradingState(int(self.now("core", "trading_state", TradingState.ACTIVE)))

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.started_at

    def tick_rate(self) -> float:
        """Ticks a second that the core took over the last seconds."""
        now, ticks = time.monotonic(), self.counter("core", "ticks")
        self._rates.append((now, ticks))
        while len(self._rates) > 2 and now - self._rates[1][0] > RATE_WINDOW_S:
            self._rates.popleft()
        first_at, first_ticks = self._rates[0]
        return (ticks - first_ticks) / (now - first_at) if now > first_at else 0.0

    def caught_up(self) -> bool:
        """True when the gateway is done, the core and the recorder have its last tick, and every event has come in."""
        if not self.children["gateway"].done:
            return False
        sent = self.counter("gateway", "ticks")
        takers = ("core", "recorder") if self.settings.record_ticks else ("core",)
        taken = all(self.counter(name, "ticks") + self.counter(name, "ticks_lost") >= sent for name in takers)
        return taken and self.next_seq >= self.now("core", "events")

    def progress(self) -> tuple[float, ...]:
        """Figures that change while anything is still being worked off."""
        return (
            self.counter("gateway", "ticks"),
            self.counter("core", "ticks"),
            self.counter("recorder", "ticks"),
            self.counter("recorder", "events"),
            float(self.next_seq),
        )

    def summary(self) -> dict[str, Any]:
        """The session as one JSON object; prices, quantities and amounts are exact decimal text."""
        positions = [position._asdict() for _, position in sorted(self.positions.items())]
        active = next((each for each in positions if each["fills"]), positions[0] if positions else {})
        return {
            "mode": self.settings.mode,
            "live": list(map(qualified_symbol, self.settings.live_instruments)),
            "sandbox_ports": {venue: each.port for venue, each in self.settings.live.sandbox.items()},
            "replay": self.settings.replay.file,
            "speed": self.settings.replay.speed,
            "duration_s": round(self.elapsed_s, 3),
            "ticks": int(self.counter("core", "ticks")),
            "ticks_lost": int(self.counter("core", "ticks_lost")),
            "malformed": int(self.counter("core", "malformed")),
            "bad_input": int(self.counter("gateway", "refused")),
            "orders": int(self.counter("core", "orders")),
            "refused": int(self.counter("core", "refused")),
            "fills": int(self.counter("core", "fills")),
            "instrument": active.get("instrument", ""),
            "position": active.get("qty", "0"),
            "realized_pnl": active.get("realized_pnl", "0"),
            "unrealized_pnl": active.get("unrealized_pnl", "0"),
            "fees": active.get("fees", "0"),
            "positions": positions,
            "standings": [standing._asdict() for _, standing in sorted(self.standings.items())],
            "latency": {
                "tick_to_order": {
                    **{
                        f"{each}_us": round(self.now("core", f"tick_to_order_{each}_us"), 1)
                        for each in LATENCY_PERCENTILES
                    },
                    "count": int(self.now("core", "tick_to_order_count")),
                }
            },
            "rss_mb": {
                name: round(child.heartbeat.rss_mb, 1) for name, child in self.children.items() if child.heartbeat
            },
            "ticks_recorded": int(self.counter("recorder", "ticks_stored")),
            "events": self.next_seq,
            "restarts": {name: child.restarts for name, child in self.children.items()},
            "failed": [name for name, child in self.children.items() if child.state is ChildState.FAILED],
            "trading_state": self.trading_state.name,
            "account_dir": str(self.settings.account_dir),
        }


def log_messages(strategy_file: Path) -> tuple[str, ...]:
    """The texts of a strategy's ``LOG_MESSAGES``, read without running the file; empty when it declares none."""
    try:
        module = ast.parse(strategy_file.read_text())
    except (OSError, SyntaxError, ValueError):
        return ()
    for statement in module.body:
        if isinstance(statement, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "LOG_MESSAGES" for target in statement.targets
        ):
            with suppress(ValueError):
                return tuple(map(str, ast.literal_eval(statement.value)))
    return ()


def average_price_text(instrument: Instrument, ticks_e8: int) -> str:
    """An average price in 1e-8 ticks as decimal text, exactly."""
    return format((Decimal(ticks_e8).scaleb(-8) * Decimal(instrument.tick)).normalize(), "f")
