"""Whatever the market does: no account below zero, and nothing at the exchange that its margin does not bear."""

from __future__ import annotations

from fractions import Fraction
from typing import Final, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as some

from oms.records import BUY, CASH_SCALE, SELL, EventKind, OrderFlag
from tests.backtest.desk import FIRST_TIER, SECOND_TIER, Desk, contract, move
from tests.oms.core.builders import Records, client_id, new_order

pytestmark = pytest.mark.pure

BALANCE: Final = 2_000
LOWEST_PX: Final = 500


class Step(NamedTuple):
    """An order at an offset from the mid price of an instrument; then the mid moves by ``moves`` ticks."""

    number: int
    side: int
    away: int
    qty: int
    moves: int


STEPS: Final = some.lists(
    some.builds(
        Step,
        number=some.integers(0, 1),
        side=some.sampled_from([BUY, SELL]),
        away=some.integers(-3, 30),
        qty=some.integers(1, 20),
        moves=some.one_of(some.integers(-30, 30), some.integers(-400, 400)),
    ),
    min_size=5,
    max_size=40,
)


class Book:
    """What the fills of a run come to in one account, in whole units of the currency, by another reckoning."""

    def __init__(self) -> None:
        self.cash = Fraction(BALANCE)
        self.lots = [0, 0]

    def take(self, events: Records) -> None:
        for row in events[events["kind"] == EventKind.ORDER_FILLED]:
            side, qty, px = (int(row[name]) for name in ("side", "last_qty", "last_px"))
            self.cash -= side * qty * px
            self.lots[int(row["instrument"])] += side * qty

    def equity(self, px: list[int]) -> Fraction:
        return self.cash + sum(lots * each for lots, each in zip(self.lots, px, strict=True))

    def maintenance(self, px: list[int]) -> Fraction:
        """5 % of a position's value, and 10 % of what of it is beyond 5000."""
        total = Fraction(0)
        for lots, each in zip(self.lots, px, strict=True):
            value = abs(lots) * each
            total += Fraction(5, 100) * value + Fraction(5, 100) * max(value - 5_000, 0)
        return total


@given(STEPS)
def test_an_account_on_cross_margin_never_falls_below_zero_nor_holds_what_it_cannot_bear(steps: list[Step]) -> None:
    tiers = (FIRST_TIER, SECOND_TIER)
    desk = Desk(contract(0, *tiers), contract(1, *tiers), balance=BALANCE)
    px = [1_000, 1_000]
    book = Book()
    for number in (0, 1):
        move(desk, px[number], number)
    for count, step in enumerate(steps, start=1):
        at = px[step.number] + step.side * (1 - step.away)
        order = new_order(client_id(count), step.side, at, step.qty, instrument=step.number, strategy=-1)
        book.take(desk.commands(order))
        px[step.number] = max(px[step.number] + step.moves, LOWEST_PX)
        told = move(desk, px[step.number], step.number)
        book.take(told)
        assert book.equity(px) >= 0
        assert not any(book.lots) or book.equity(px) > book.maintenance(px)
        assert [int(qty) for qty in desk.s["positions"]["qty"][0, :2, 0]] == book.lots
        if not any(book.lots):
            assert Fraction(int(desk.s["wallets"]["balance"][0, 0]), CASH_SCALE) == book.cash
        if EventKind.ORDER_ADOPTED in told["kind"]:
            assert not any(book.lots)
            assert desk.s["open_orders"] == 0
            assert desk.open_list(0) == desk.open_list(1) == []


@given(STEPS)
def test_an_isolated_position_loses_no_more_than_its_margin(steps: list[Step]) -> None:
    desk = Desk(contract(0), contract(1), balance=BALANCE, leverage=10, isolated=1)
    px = [1_000, 1_000]
    for number in (0, 1):
        move(desk, px[number], number)
    for count, step in enumerate(steps, start=1):
        wallet = desk.s["wallets"][0, 0]
        margin = desk.s["positions"]["isolated_margin"][0, :2, 0]
        at = px[step.number] + step.side * (1 - step.away)
        flags = OrderFlag.POST_ONLY if step.away > 1 else 0
        desk.commands(
            new_order(client_id(count), step.side, at, step.qty, instrument=step.number, strategy=-1, flags=flags)
        )
        before, assigned = int(wallet["balance"]), int(margin[step.number])
        px[step.number] = max(px[step.number] + step.moves, LOWEST_PX)
        told = move(desk, px[step.number], step.number)
        fills = told[told["kind"] == EventKind.ORDER_FILLED]
        if EventKind.ORDER_ADOPTED in told["kind"] and len(fills) == 1:
            assert before - int(wallet["balance"]) <= assigned
            assert desk.position(step.number)["qty"] == 0
            assert desk.open_list(step.number) == []
