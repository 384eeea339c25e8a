"""SOR against the best of all splits, and against venues that answer in whatever order."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import product
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as draw

from oms.compiled import JIT
from oms.instruments import Instrument
from oms.records import EventKind, OrderState, Reason
from tests.oms.algos.sor_play import MIXED, Action, Play, actions
from tests.oms.algos.sor_rig import SorRig, spot
from tests.oms.core.builders import (
    BUY,
    SELL,
    snapshot,
)


class Venue(NamedTuple):
    """A venue of a random market: its instrument, the levels that are to be taken, the wallet and the exchange rate."""

    instrument: Instrument
    levels: dict[int, int]
    balance: Fraction
    rate: Fraction

    def swept(self, qty: int) -> list[tuple[int, int]]:
        """Price and lots of the levels that so many lots take, in order."""
        found = []
        for px, lots in self.levels.items():
            if qty > 0:
                found.append((px, min(lots, qty)))
                qty -= lots
        return found

    def price(self, px: int) -> Fraction:
        return px * Fraction(self.instrument.tick)

    def value(self, qty: int) -> Fraction:
        """Quote currency of an order of so many lots, at its own price."""
        return self.price(self.swept(qty)[-1][0]) * qty * Fraction(self.instrument.lot)

    def is_allowed(self, side: int, qty: int, limit: Fraction) -> bool:
        if qty == 0:
            return True
        fee = Fraction(self.instrument.taker_fee_rate)
        lots = qty * Fraction(self.instrument.lot)
        needed = self.value(qty) * (1 + fee) if side > 0 else lots
        return (
            lots >= Fraction(self.instrument.min_qty)
            and self.value(qty) >= Fraction(self.instrument.min_notional)
            and needed <= self.balance
            and (limit == 0 or (limit - self.price(self.swept(qty)[-1][0]) * self.rate) * side >= 0)
        )

    def cost(self, side: int, qty: int) -> Fraction:
        fee = Fraction(self.instrument.taker_fee_rate)
        paid = sum((self.price(px) * lots for px, lots in self.swept(qty)), Fraction(0))
        return paid * Fraction(self.instrument.lot) * self.rate * (side + fee)


def best_of_all(venues: Sequence[Venue], side: int, qty: int, limit: Fraction) -> tuple[Fraction, Fraction]:
    """What the best split leaves in base currency, and what it costs, by trying every split."""
    target = qty * Fraction(venues[0].instrument.lot)
    choices = [
        [lots for lots in range(sum(venue.levels.values()) + 1) if venue.is_allowed(side, lots, limit)]
        for venue in venues
    ]
    found = []
    for taken in product(*choices):
        lots = zip(venues, taken, strict=True)
        left = target - sum((each * Fraction(venue.instrument.lot) for venue, each in lots), Fraction(0))
        if left >= 0:
            lots = zip(venues, taken, strict=True)
            found.append((left, sum((venue.cost(side, each) for venue, each in lots), Fraction(0))))
    return min(found)


@draw.composite
def markets(sample: draw.DrawFn) -> tuple[int, int, int, list[Venue]]:
    """Side, quantity and limit of an order, and two or three venues."""
    side = sample(draw.sampled_from([BUY, SELL]))
    lots = sample(draw.sampled_from([("0.1",), ("0.1", "0.2"), ("0.1", "0.5"), ("0.2", "0.4")]))
    venues = []
    for number in range(sample(draw.integers(2, 3))):
        quote = sample(draw.sampled_from(["USDT", "USDC"])) if number > 0 else "USDT"
        lot = sample(draw.sampled_from(lots))
        least = sample(draw.sampled_from([0, 0, 2, 4])) if number > 0 else 0
        instrument = spot(
            number,
            f"venue_{number}",
            quote=quote,
            tick=sample(draw.sampled_from(["1", "0.5", "2"])),
            lot=lot,
            taker_fee_rate=sample(draw.sampled_from(["0", "0.001", "0.01", "0.03"])),
            min_notional=sample(draw.sampled_from(["0", "0", "40", "100"])),
            min_qty=str(least * Decimal(lot)),
        )
        rate = Fraction(1, 2) if quote == "USDC" else Fraction(1)
        around = int(100 / Fraction(instrument.tick) / rate)
        prices = sample(draw.lists(draw.integers(around - 9, around + 9), min_size=1, max_size=3, unique=True))
        levels = {px: sample(draw.integers(1, 5)) for px in sorted(prices, reverse=side < 0)}
        balance = sample(draw.sampled_from([1_000, 1_000, 55, 110] if side > 0 else [1_000, 1_000, 1, 2]))
        venues.append(Venue(instrument, levels, Fraction(balance), rate))
    home_ticks = int(100 / Fraction(venues[0].instrument.tick))
    limit = sample(draw.one_of(draw.just(0), draw.integers(home_ticks - 5, home_ticks + 5)))
    return side, sample(draw.integers(1, 20)), limit, venues


@settings(max_examples=50 if JIT else 60, deadline=None)
@given(markets())
def test_what_is_taken_is_as_much_as_can_be_had_at_the_least_cost(market: tuple[int, int, int, list[Venue]]) -> None:
    side, qty, limit, venues = market
    core = SorRig(*(venue.instrument for venue in venues))
    for number, venue in enumerate(venues):
        core.set_rate(number, float(venue.rate))
        core.set_balance(f"venue_{number}", "BTC" if side < 0 else venue.instrument.quote, venue.balance)
        behind = {next(iter(venue.levels)) - side: 1}
        core.ticks(snapshot(number, behind, venue.levels) if side > 0 else snapshot(number, venue.levels, behind))
    core.go(side, qty, limit, rests=0.0)
    taken = [0] * len(venues)
    for child in core.children:
        assert child["px"] == venues[child["instrument"]].swept(int(child["qty"]))[-1][0]
        taken[child["instrument"]] += int(child["qty"])
    lots = list(zip(venues, taken, strict=True))
    target = qty * Fraction(venues[0].instrument.lot)
    left = target - sum((each * Fraction(venue.instrument.lot) for venue, each in lots), Fraction(0))
    cost = sum((venue.cost(side, each) for venue, each in lots), Fraction(0))
    price = venues[0].price(limit)
    assert (left, cost) == best_of_all(venues, side, qty, price)
    assert core.events[core.events["kind"] == EventKind.ORDER_REFUSED].size == 0


@settings(max_examples=50 if JIT else 20, deadline=None)
@given(draw.sampled_from([BUY, SELL]), draw.lists(actions, max_size=60))
def test_the_target_is_reached_and_never_exceeded_in_whatever_order_things_come(
    side: int, played: list[Action]
) -> None:
    play = Play(SorRig(*MIXED), side, 103)
    for action in played:
        play.act(*action)
    play.finish()
    assert play.core.end() == (OrderState.FILLED, Reason.NONE)
