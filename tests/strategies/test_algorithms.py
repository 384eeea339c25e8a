"""Strategies have algorithms work orders: started, changed, paused and ended by a callback, and told of."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from oms.algorithms import AlgorithmError, read_algorithms
from oms.algos import best_limit, twap
from oms.core.state import TERMS_RING
from oms.records import EventKind, OrderState, ParentState, Reason
from strategies.algorithms import algorithm, parameter_number
from tests.oms.algos.builders import PARENT, AlgoRig
from tests.oms.algos.sor_rig import CHEAP, HOME, THIRD
from tests.oms.core.builders import ASK_PX, BID_PX, BUY, SECOND, SELL, depth, kinds, time_tick

SAMPLE: Final = Path(__file__).parent / "samples" / "worker.py"
FIRST_ID: Final = 1 << 40 | 1
LIMIT: Final = ASK_PX + 100
ANSWER, FILLS, FILLED_PARENT, ENDS, ENDED, END_STATE, AGAIN = range(7)
LOOKED: Final = 10
(
    START_TWAP,
    START_REST,
    START_OVER,
    SET,
    AMEND,
    PAUSE,
    RESUME,
    CANCEL,
    CANCEL_ALL,
    LOOK,
    FAIL,
    START_AND_SET,
    START_TWAP_OVER,
) = range(1, 14)

pytestmark = pytest.mark.pure


class Worker(AlgoRig):
    """A core with the sample strategy, and the algorithms that it starts."""

    def __init__(self, *names: str, **options: Any) -> None:
        super().__init__(*(names or ("twap", "best-limit", "sor")), **options)
        self.number = self.add(SAMPLE)
        self.open_market()

    def act(self, action: int, *arguments: float) -> Any:
        """Let the strategy do one thing; returns the events of that tick."""
        values = [action, *arguments]
        self.s["strategies"][self.number]["parameters"][: len(values)] = values
        events = self.ticks(depth(BUY, BID_PX - 50, 5))
        self.s["strategies"][self.number]["parameters"][0] = 0
        return events

    def wait(self, ns: int) -> None:
        self.ticks(time_tick(self.now + ns))

    def cell(self, at: int) -> int:
        return int(self.s["strategies"][self.number]["memory"][at])

    def set_cell(self, at: int, value: int) -> None:
        self.s["strategies"][self.number]["memory"][at] = value


def test_an_algorithm_works_an_order_of_a_strategy() -> None:
    rig = Worker()
    events = rig.act(START_REST, BUY, 0, 20, 0)
    assert rig.cell(ANSWER) == FIRST_ID
    assert kinds(events)[:1] == [EventKind.ORDER_HELD]
    child = rig.child()
    assert (int(child["parent_id"]), int(child["strategy"]), int(child["px"])) == (FIRST_ID, rig.number, BID_PX)
    assert (int(child["qty"]), int(child["side"])) == (20, BUY)


def test_the_strategy_is_told_of_fills_and_of_the_end() -> None:
    rig = Worker()
    rig.act(START_REST, SELL, 0, 20, 0)
    rig.accept(rig.child())
    rig.fill(rig.child(), 5)
    assert (rig.cell(FILLS), rig.cell(FILLED_PARENT), rig.cell(ENDS)) == (5, FIRST_ID, 0)
    rig.fill(rig.child(), 15)
    assert (rig.cell(FILLS), rig.cell(ENDS), rig.cell(ENDED)) == (20, 1, FIRST_ID)
    assert rig.cell(END_STATE) == OrderState.FILLED


def test_the_end_is_told_to_whom_it_concerns_alone() -> None:
    rig = Worker()
    rig.start("best-limit", BUY, 20)
    rig.fill(rig.child(), 20)
    assert int(rig.order(PARENT)["state"]) == OrderState.FILLED
    assert rig.cell(ENDS) == 0


def test_the_next_order_can_be_started_where_the_last_one_ends() -> None:
    rig = Worker()
    rig.set_cell(AGAIN, 1)
    rig.act(START_REST, BUY, 0, 20, 0)
    rig.fill(rig.child(), 20)
    assert (rig.cell(ENDS), rig.cell(ANSWER)) == (1, FIRST_ID + 1)
    assert int(rig.child()["parent_id"]) == FIRST_ID + 1
    rig.fill(rig.child(), 20)
    assert (rig.cell(ENDS), rig.cell(ENDED)) == (2, FIRST_ID + 1)
    assert int(rig.s["parents_open"]) == 0


def test_what_becomes_of_an_order_is_seen() -> None:
    rig = Worker()
    rig.act(START_TWAP, BUY, 0, 50, 0)
    rig.wait(4 * SECOND)
    rig.act(LOOK, FIRST_ID)
    state, open_qty, due_qty, leaves, first, second = (rig.cell(LOOKED + at) for at in range(6))
    assert (state, leaves, first, second) == (ParentState.RUNNING, 50, FIRST_ID, 0)
    assert due_qty == 30  # of slices at 0, 2 and 4 s
    assert open_qty == sum(int(child["qty"]) for child in rig.open_children) > 0
    rig.act(PAUSE, FIRST_ID)
    rig.act(LOOK, FIRST_ID)
    assert (rig.cell(ANSWER), rig.cell(LOOKED)) == (0, ParentState.PAUSED)
    rig.act(RESUME, FIRST_ID)
    rig.act(LOOK, FIRST_ID)
    assert (rig.cell(ANSWER), rig.cell(LOOKED)) == (0, ParentState.RUNNING)


def test_pause_takes_the_children_back_and_resume_places_them_anew() -> None:
    rig = Worker()
    rig.act(START_REST, BUY, 0, 20, 0)
    rig.accept(rig.child())
    rig.act(PAUSE, FIRST_ID)
    rig.confirm_cancel(rig.child())
    rig.wait(SECOND)
    assert rig.open_children == []
    rig.act(RESUME, FIRST_ID)
    assert int(rig.child()["qty"]) == 20


def test_target_and_limit_are_changed_as_of_any_order() -> None:
    rig = Worker()
    rig.act(START_REST, BUY, LIMIT, 20, 0)
    rig.act(AMEND, FIRST_ID, LIMIT + 5, 30)
    order = rig.order(FIRST_ID)
    assert (rig.cell(ANSWER), int(order["px"]), int(order["qty"])) == (0, LIMIT + 5, 30)


def test_cancel_ends_it_once_the_children_are_gone() -> None:
    rig = Worker()
    rig.act(START_REST, BUY, 0, 20, 0)
    rig.accept(rig.child())
    rig.act(CANCEL, FIRST_ID)
    assert (rig.cell(ANSWER), rig.cell(ENDS)) == (0, 0)
    rig.confirm_cancel(rig.child())
    assert (rig.cell(ENDS), rig.cell(END_STATE)) == (1, OrderState.CANCELLED)
    rig.act(LOOK, FIRST_ID)
    assert [rig.cell(LOOKED + at) for at in (0, 1, 2, 4)] == [0, 0, 0, 0]


@pytest.mark.parametrize("action", [CANCEL_ALL, FAIL])
def test_all_of_a_strategys_orders_end_with_it(action: int) -> None:
    rig = Worker()
    rig.act(START_REST, BUY, 0, 20, 0)
    rig.accept(rig.child())
    rig.act(action)
    rig.confirm_cancel(rig.child())
    assert int(rig.order(FIRST_ID)["state"]) == OrderState.CANCELLED
    assert rig.cell(ENDS) == (1 if action == CANCEL_ALL else 0)


def test_a_parameter_is_changed_within_its_range() -> None:
    rig = Worker()
    slices = parameter_number(twap, "slices")
    rig.act(START_TWAP, BUY, 0, 50, 0)
    rig.act(SET, FIRST_ID, -1, 2)
    assert (rig.cell(ANSWER), float(rig.parent_row(FIRST_ID)["parameters"][slices])) == (0, 2.0)
    assert float(rig.parent_row(FIRST_ID)["parameters"][0]) == 10.0
    for number, value in ((-1, 0.5), (-1, 20_000), (16, 1.0)):
        rig.act(SET, FIRST_ID, number, value)
        assert rig.cell(ANSWER) == Reason.BAD_PARAMETER
    assert float(rig.parent_row(FIRST_ID)["parameters"][slices]) == 2.0


def test_a_parameter_can_be_set_before_the_algorithm_begins() -> None:
    rig = Worker()
    rig.act(START_AND_SET, BUY, 0, 50, 2)
    rig.wait(3 * SECOND)
    rig.act(LOOK, FIRST_ID)
    assert (rig.cell(ANSWER), rig.cell(LOOKED + 2)) == (0, 25)


def test_an_order_may_trade_in_other_instruments_too() -> None:
    rig = Worker(instruments=(HOME, CHEAP, THIRD))
    rig.act(START_OVER, BUY, ASK_PX, 20, 1)
    assert [int(each) for each in rig.parent_row(FIRST_ID)["routes"][:3]] == [0, 1, -1]
    assert {(int(child["instrument"]), int(child["qty"])) for child in rig.open_children} == {(1, 20)}


def test_an_algorithm_of_one_venue_has_no_other() -> None:
    rig = Worker(instruments=(HOME, CHEAP, THIRD))
    rig.act(START_TWAP_OVER, BUY, 0, 20, 1)
    assert rig.cell(ANSWER) == -Reason.BAD_ALGORITHM


def test_what_cannot_be_is_refused() -> None:
    rig = Worker("twap")
    rig.act(START_REST, BUY, 0, 20, 0)
    assert rig.cell(ANSWER) == -Reason.BAD_ALGORITHM
    rig.act(START_TWAP, 0, 0, 20, 0)
    assert rig.cell(ANSWER) == -Reason.BAD_SIDE
    rig.act(START_TWAP, BUY, 0, 0, 0)
    assert rig.cell(ANSWER) == -Reason.QTY_BELOW_MIN
    assert int(rig.s["strategies"][rig.number]["refused"]) == 3
    rig.start("twap", BUY, 20)
    for action in (SET, PAUSE, RESUME, CANCEL, AMEND):
        rig.act(action, PARENT, -1, 3)
        assert rig.cell(ANSWER) == Reason.NOT_OWNER, action
    rig.act(SET, FIRST_ID + 7, -1, 3)
    assert rig.cell(ANSWER) == Reason.NO_PARENT
    rig.act(PAUSE, FIRST_ID + 7)
    assert rig.cell(ANSWER) == Reason.UNKNOWN_ORDER


def test_random_numbers_do_not_hang_on_the_ids_of_former_sessions() -> None:
    rigs = Worker(), Worker()
    rigs[1].s["strategies"][rigs[1].number]["order_counter"] = 1_000
    drawn = []
    for rig in rigs:
        for _ in range(2):
            rig.act(START_REST, BUY, 0, 20, 0)
            drawn.append(int(rig.parent_row(rig.cell(ANSWER))["random"]))
    assert drawn[:2] == drawn[2:]
    assert drawn[0] != drawn[1]


def test_more_orders_than_the_ring_of_terms_holds_have_each_its_own() -> None:
    rig = Worker()
    for _ in range(TERMS_RING + 3):
        rig.act(START_REST, BUY, BID_PX - 1_000, 20, 0)
    rig.act(START_TWAP, BUY, 0, 50, 0)
    twapped = rig.parent_row(rig.cell(ANSWER))
    assert int(twapped["algorithm"]) == read_algorithms(())["twap"].id
    assert int(rig.parent_row(FIRST_ID)["algorithm"]) == read_algorithms(())["best-limit"].id


def test_parameters_are_checked_where_the_file_is_loaded() -> None:
    with pytest.raises(AlgorithmError, match="algorithm twap has no parameter 'slice'"):
        algorithm(twap, slice=5)
    with pytest.raises(AlgorithmError, match="parameter slices of twap is 0: give a number from 1 to 10000"):
        algorithm(twap, slices=0)
    with pytest.raises(ValueError, match="slices"):
        parameter_number(best_limit, "slices")
