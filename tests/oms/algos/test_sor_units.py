"""SOR over venues of different lots: one target, counted exactly, or refused."""

from __future__ import annotations

from fractions import Fraction

import pytest

from oms.records import EventKind, OrderState, Reason
from tests.oms.algos.builders import PARENT
from tests.oms.algos.sor_rig import CHEAP, HOME, THIRD, SorRig, perpetual, spot
from tests.oms.core.builders import (
    amend,
)

pytestmark = pytest.mark.pure


def test_lots_and_contracts_of_different_sizes_are_one_target() -> None:
    core = SorRig(perpetual(0, "home"), perpetual(1, "contracts", lot="1", multiplier="0.01", tick="0.5"))
    core.books({600_000: 100}, {119_000: 3})
    core.go(qty=45)
    assert core.open_by_route == {0: (600_000, 15), 1: (119_000, 3)}, "a contract is ten lots"
    core.fill(core.of(1), 3)
    assert core.order(PARENT)["filled_qty"] == 30
    core.fill(core.of(0), 15)
    assert core.end() == (OrderState.FILLED, Reason.NONE)


def test_a_fill_that_comes_when_the_order_is_done_counts_in_its_own_lots() -> None:
    core = SorRig(perpetual(0, "home"), perpetual(1, "contracts", lot="1", multiplier="0.01", tick="0.5"))
    core.books({600_000: 100}, {119_000: 3})
    core.go(qty=45, rests=0.0)
    home, contracts = core.of(0), core.of(1)
    core.fill(home, 5)
    core.cancel()
    core.expire(contracts)
    core.expire(home)
    assert core.end() == (OrderState.CANCELLED, Reason.REQUESTED)
    assert core.order(PARENT)["filled_qty"] == 5
    core.fill(contracts, 2)
    core.fill(home, 1)
    assert core.order(PARENT)["filled_qty"] == 26, "a contract is ten lots"


def refusals(core: SorRig) -> list[Reason]:
    """Why the order itself was refused, or what was asked of it."""
    rows = core.events[(core.events["kind"] == EventKind.ORDER_REFUSED) & (core.events["order_id"] == PARENT)]
    return [Reason(int(reason)) for reason in rows["reason"]]


def far_apart() -> SorRig:
    """Two venues, a lot of the first of which is 10**12 of the second's."""
    core = SorRig(spot(0, "home", lot="100000"), spot(1, "fine", lot="0.0000001"))
    core.books({100: 50}, {100: 50})
    return core


def test_lots_so_far_apart_that_the_target_cannot_be_counted_are_refused() -> None:
    core = far_apart()
    core.go(qty=3_000_000)
    assert refusals(core) == [Reason.OVERFLOW]
    assert core.s["parents_open"] == 0


def test_a_target_that_can_be_counted_in_both_lots_is_worked_and_not_amended_beyond_that() -> None:
    core = far_apart()
    core.go(qty=2_000_000)
    assert core.parent_row()["route_units"][0] == 10**12
    core.commands(amend(PARENT, qty=3_000_000))
    assert refusals(core) == [Reason.OVERFLOW]
    assert core.order(PARENT)["qty"] == 2_000_000


def test_lots_without_a_common_measure_in_64_bits_are_refused() -> None:
    odd = [Fraction(1, 2**31 - 1), Fraction(1, 2**29 - 3), Fraction(1, 2**30 - 35)]
    core = SorRig(HOME, CHEAP, THIRD)
    core.books({100: 50}, {100: 50}, {100: 50})
    for number, lot in enumerate(odd):
        core.s["instruments"][number]["size_numerator"] = lot.numerator
        core.s["instruments"][number]["size_denominator"] = lot.denominator
    core.go(qty=1)
    assert refusals(core) == [Reason.OVERFLOW]
