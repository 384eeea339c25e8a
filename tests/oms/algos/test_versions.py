"""An order that was started with another version of its algorithm ends: its parameters may mean something else now."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pytest

from oms import engine
from oms.algorithms import read_algorithm
from oms.core.state import new_state
from oms.durable import begin_session
from oms.records import CommandKind, OrderState, OrderType, ParentState, Reason, TradingState, Trigger
from oms.recovery import cancelled_by_restart, carry_definitions, recover, take_on
from oms.snapshot import Definitions
from strategies.loader import LoadedAlgorithm, define_algorithm, load_algorithm
from tests.oms.algos.builders import PARENT, AlgoRig, terms
from tests.oms.core.builders import BUY, SECOND, command, new_order, time_tick
from tests.oms.journalled import SESSION, JournalledRig

DEFINITIONS: Final = Definitions(instruments={"0": {"name": "BTCUSDT.binance_usdm"}})
NAME: Final = "patient"
SOURCE: Final = """
from oms.algos.api import left, near_px, rest

PARAMETERS = {parameters}


def work(st, me, now):
    rest(st, me, 0, near_px(st, me), left(st, me), 0)
"""

pytestmark = pytest.mark.pure


def written(folder: Path, parameters: str) -> Path:
    folder.mkdir()
    path = folder / f"{NAME}.py"
    path.write_text(SOURCE.replace("{parameters}", parameters))
    return path


class JournalledAlgoRig(JournalledRig, AlgoRig):
    """A rig of both kinds, with the algorithms in the files given."""


def journalled(folder: Path, loaded: LoadedAlgorithm, number: int = 0) -> tuple[Any, Any]:
    """A core that works an order and is killed: its state as assembled, and the core. ``number``: the journal's id."""
    rig = JournalledAlgoRig(folder=folder / "journal", external=True)
    row = define_algorithm(rig.st, loaded)
    rig.s["algorithms"][row]["id"] = number or loaded.id
    assembled = new_state()
    carry_definitions(assembled, rig.st)
    rig.open_market()
    said = terms(PARENT, "best-limit")
    said["algorithm"] = number or loaded.id
    said["parameters"] = 0
    rig.terms(said)
    rig.commands(new_order(PARENT, BUY, 0, 20, trigger=Trigger.ALGORITHM, order_type=OrderType.MARKET))
    rig.accept(rig.child())
    rig.fill(rig.child(), 5)
    return assembled, rig


def restarted(folder: Path, assembled: Any, now: int, *algorithms: LoadedAlgorithm) -> Any:
    past = recover(assembled, DEFINITIONS, folder / "snapshots", folder / "journal")
    fresh = AlgoRig()
    for each in algorithms:
        define_algorithm(fresh.st, each)
    take_on(fresh.st, past, DEFINITIONS)
    begin_session(fresh.st, SESSION + 1)
    fresh.now = now
    fresh.reports(cancelled_by_restart(fresh.st))
    for state in (TradingState.HALTED, TradingState.ACTIVE):
        fresh.commands(command(CommandKind.SET_TRADING_STATE, 0, instrument=-1, value=state))
    fresh.open_market()
    fresh.ticks(time_tick(fresh.now + 2 * SECOND))
    return fresh


def test_the_same_version_goes_on(tmp_path: Path) -> None:
    first = load_algorithm(written(tmp_path / "first", '{"a": 1.0, "b": 2.0}'))
    again = load_algorithm(written(tmp_path / "again", '{"a": 7.0, "b": 8.0}'))
    assembled, rig = journalled(tmp_path, first)
    fresh = restarted(tmp_path, assembled, rig.now, again)
    assert fresh.parent_row()["state"] == ParentState.RUNNING
    assert int(fresh.child()["qty"]) == 15


@pytest.mark.parametrize("parameters", ['{"b": 2.0, "a": 1.0}', '{"a": 1.0}', '{"z": 0.0, "a": 1.0, "b": 2.0}'])
def test_other_parameters_end_the_order_with_a_reason_that_says_so(tmp_path: Path, parameters: str) -> None:
    first = load_algorithm(written(tmp_path / "first", '{"a": 1.0, "b": 2.0}'))
    other = load_algorithm(written(tmp_path / "other", parameters))
    assembled, rig = journalled(tmp_path, first)
    fresh = restarted(tmp_path, assembled, rig.now, other)
    order = fresh.order(PARENT)
    assert (int(order["state"]), int(order["reason"])) == (OrderState.CANCELLED, Reason.ALGORITHM_CHANGED)
    assert (int(order["filled_qty"]), fresh.open_children) == (5, [])


def test_an_algorithm_that_is_gone_ends_the_order(tmp_path: Path) -> None:
    assembled, rig = journalled(tmp_path, load_algorithm(written(tmp_path / "first", "{}")))
    fresh = restarted(tmp_path, assembled, rig.now)
    assert int(fresh.order(PARENT)["reason"]) == Reason.BAD_ALGORITHM


def test_a_journal_from_before_versions_were_told_apart_is_of_another(tmp_path: Path) -> None:
    """Its ids stand for the name alone."""
    loaded = load_algorithm(written(tmp_path / "first", '{"a": 1.0}'))
    by_name = (int.from_bytes(sha256(NAME.encode()).digest()[:8], "little") >> 2) + 1
    assert by_name != read_algorithm(loaded.path).id
    assembled, rig = journalled(tmp_path, loaded, by_name)
    fresh = restarted(tmp_path, assembled, rig.now, loaded)
    assert int(fresh.order(PARENT)["reason"]) == Reason.ALGORITHM_CHANGED


def test_children_at_the_exchange_are_cancelled_first(tmp_path: Path) -> None:
    first = load_algorithm(written(tmp_path / "first", '{"a": 1.0}'))
    other = load_algorithm(written(tmp_path / "other", '{"b": 1.0}'))
    rig = AlgoRig()
    define_algorithm(rig.st, first)
    rig.open_market()
    said = terms(PARENT, "best-limit")
    said["algorithm"] = first.id
    engine.take_terms(rig.st, said)
    rig.commands(new_order(PARENT, BUY, 0, 20, trigger=Trigger.ALGORITHM, order_type=OrderType.MARKET))
    rig.accept(rig.child())
    rig.s["algorithms"][0]["id"] = other.id  # as a restart finds it
    rig.s["parent_wakes"][int(rig.order(PARENT)["parent_row"]) - 1]["algorithm"] = -1
    rig.fill(rig.child(), 5)
    assert int(rig.child()["state"]) == OrderState.PENDING_CANCEL
    rig.confirm_cancel(rig.child())
    assert int(rig.order(PARENT)["reason"]) == Reason.ALGORITHM_CHANGED
