"""A core with SOR, several venues of one asset, and the instruments for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Final

from oms.instruments import Instrument
from oms.records import TickKind, TimeInForce
from tests.oms.algos.builders import AlgoRig
from tests.oms.core.builders import BUY, Records, snapshot, tick, time_tick


def spot(number: int, venue: str, *, quote: str = "USDT", **fields: Any) -> Instrument:
    terms: dict[str, Any] = {
        "tick": "1",
        "lot": "0.1",
        "maker_fee_rate": "0.0002",
        "taker_fee_rate": "0.0005",
        **fields,
    }
    return Instrument(id=number, symbol=f"BTC{quote}", venue=venue, kind="spot", base="BTC", quote=quote, **terms)


def perpetual(number: int, venue: str, **fields: str) -> Instrument:
    terms: dict[str, Any] = {"tick": "0.1", "lot": "0.001", "quote": "USDT", **fields}
    return Instrument(id=number, symbol="BTCUSDT", venue=venue, kind="linear_perpetual", base="BTC", **terms)


HOME: Final = spot(0, "home")
CHEAP: Final = spot(1, "cheap", taker_fee_rate="0.0001", maker_fee_rate="0.0001")
THIRD: Final = spot(2, "third")


class SorRig(AlgoRig):
    """Route k is instrument k."""

    def __init__(self, *instruments: Instrument, **options: Any) -> None:
        super().__init__("sor", instruments=instruments, **options)
        self.count = len(instruments)

    def books(self, *asks: Mapping[int, int], bids: Sequence[Mapping[int, int]] | None = None) -> None:
        """Give the routes these asks, and bids far below them."""
        for number, levels in enumerate(asks):
            bid = dict(bids[number]) if bids is not None else {max(min(levels, default=100) - 50, 1): 1_000}
            self.ticks(snapshot(number, bid, levels))

    def go(self, side: int = BUY, qty: int = 10, px: int = 0, **options: Any) -> Records:
        return self.start("sor", side, qty, px, routes=tuple(range(1, self.count)), **options)

    def wait(self, ns: int) -> None:
        self.now += ns
        self.ticks(time_tick())

    def stale(self, number: int) -> None:
        self.ticks(tick(TickKind.STALE, instrument=number))

    @property
    def open_by_route(self) -> dict[int, tuple[int, int]]:
        """Price and leaves of the open children by route; a lane that rests and one that takes count as one."""
        return {
            int(child["instrument"]): (int(child["px"]), int(child["qty"] - child["filled_qty"]))
            for child in self.open_children
        }

    def of(self, number: int) -> Any:
        """The open child on a route."""
        (found,) = [child for child in self.open_children if child["instrument"] == number]
        return found

    def set_rate(self, instrument: int, rate: float) -> None:
        """Set what a unit of an instrument's quote currency is in the reporting currency."""
        self.s["currencies"][self.s["instruments"][instrument]["quote_currency"]]["rate"] = rate

    def set_balance(self, venue: str, currency: str, units: Fraction | int) -> None:
        number = [str(wallet) for wallet in self.wallets].index(f"{venue}.{currency}")
        self.s["wallets"][0, number]["balance"] = int(units * 10**8)

    def of_kind(self, number: int, *, rests: bool) -> Any:
        """The open child on a route that rests, or that takes."""
        (found,) = [
            child
            for child in self.open_children
            if child["instrument"] == number and (child["time_in_force"] != TimeInForce.IOC) == rests
        ]
        return found
