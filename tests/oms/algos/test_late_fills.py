"""A child that is filled after the end of its order: a fact that counts, and that is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oms import engine
from oms.durable import differences
from oms.records import EventKind, OrderState, OrderType, Trigger
from oms.recovery import carry_definitions
from oms.replay import Replay
from strategies.loader import define_algorithm
from tests.oms.algos.builders import PARENT, AlgoRig, file_of, loaded, terms
from tests.oms.core.builders import BID_PX, BUY, Rig, new_order, only
from tests.oms.journalled import SESSION, JournalledRig

pytestmark = pytest.mark.pure


class JournalledAlgoRig(JournalledRig, AlgoRig):
    """A rig with algorithms that keeps a journal."""


def ended(rig: Any) -> Any:
    """Have an order worked, filled in part and cancelled, its child too; returns the child."""
    rig.open_market()
    rig.commands(new_order(PARENT, BUY, 0, 20, trigger=Trigger.ALGORITHM, order_type=OrderType.MARKET))
    child = rig.child()
    rig.accept(child)
    rig.fill(child, 5)
    rig.cancel()
    rig.confirm_cancel(child)
    assert int(rig.order(PARENT)["state"]) == OrderState.CANCELLED
    return child


def test_a_fill_after_the_end_is_counted_and_told() -> None:
    rig = AlgoRig("best-limit")
    engine.take_terms(rig.st, terms(PARENT, "best-limit"))
    child = ended(rig)
    events = rig.fill(child, 3)
    late = only(events, EventKind.FILLED_LATE)
    assert (int(late["order_id"]), int(late["filled_qty"]), int(late["state"])) == (PARENT, 8, OrderState.CANCELLED)
    assert (int(late["last_qty"]), int(late["last_px"]), int(late["aux"])) == (3, BID_PX, int(child["order_id"]))
    assert int(rig.order(PARENT)["filled_qty"]) == 8


def test_no_fill_before_the_end_is_late() -> None:
    rig = AlgoRig("best-limit")
    rig.open_market()
    rig.start("best-limit", qty=20)
    events = [rig.fill(rig.child(), 5), rig.fill(rig.child(), 15)]
    assert int(rig.order(PARENT)["state"]) == OrderState.FILLED
    assert EventKind.FILLED_LATE not in np.concatenate(events)["kind"]


def test_the_journal_has_a_late_fill(tmp_path: Path) -> None:
    live = JournalledAlgoRig(folder=tmp_path, external=True)
    define_algorithm(live.st, loaded(file_of("best-limit")))
    again = Rig()
    carry_definitions(again.st, live.st)
    live.terms(terms(PARENT, "best-limit"))
    live.fill(ended(live), 3)
    Replay(again.st).session(tmp_path, SESSION)
    assert list(differences(live.st, again.st, every_input=False)) == []
    assert int(again.order(PARENT)["filled_qty"]) == 8
