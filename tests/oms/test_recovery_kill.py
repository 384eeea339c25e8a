"""What is under way after a kill or a loss comes out of the journal exactly, wherever it ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oms.core.state import State, new_state
from oms.core.trading import Cancelling, Flattening
from oms.durable import differences
from oms.records import CASH_SCALE, CommandKind, EventKind, OrderFlag, ReportKind, TickKind, TradingState
from oms.recovery import carry_definitions
from oms.replay import Replay
from tests.oms.core.builders import (
    ASK_PX,
    BID_PX,
    MS,
    SECOND,
    SELL,
    Records,
    client_id,
    command,
    fill,
    new_order,
    report,
    snapshot,
    tick,
    time_tick,
)
from tests.oms.journalled import SESSION, JournalledRig

pytestmark = pytest.mark.pure


class Checked(JournalledRig):
    """A journalled core whose journal is replayed after every step, and comes to the same state."""

    def __init__(self, folder: Path, **options: Any) -> None:
        super().__init__(folder, **options)
        self.seen: set[tuple[Cancelling, Flattening]] = set()
        self.begun: State = new_state()
        self.started = False

    def start(self) -> None:
        carry_definitions(self.begun, self.st)
        self.started = True
        self.commands(command(CommandKind.SET_TRADING_STATE, 0, value=TradingState.ACTIVE))
        self.open_market()

    def _step(self, step: Any, records: Records, *arguments: int) -> Records:
        events = super()._step(step, records, *arguments)
        if self.started:
            again: State = new_state()  # a copy would touch every page of a state
            carry_definitions(again, self.begun)
            Replay(again).session(self.folder, SESSION)
            assert list(differences(self.st, again, every_input=False)) == []
            sums = again[0]["scopes"][0]
            self.seen.add((Cancelling(int(sums["cancelling"])), Flattening(int(sums["flattening"]))))
        return events

    def hold(self, qty: int, trade_id: int = 1) -> None:
        order_id = client_id(1_000 + trade_id)
        self.commands(new_order(order_id, qty=qty))
        self.reports(fill(order_id, qty, trade_id=trade_id))

    def kill(self, flatten: int = 1) -> None:
        self.commands(command(CommandKind.KILL, 0, value=flatten))

    def wait(self, ns: int = SECOND) -> None:
        self.ticks(time_tick(self.now + ns))

    def closing(self) -> Records:
        sent = self.sent
        found: Records = sent[(sent["source"] == 1023) & (sent["kind"] == CommandKind.NEW)]
        return found


@pytest.fixture
def rig(tmp_path: Path) -> Checked:
    checked = Checked(tmp_path)
    checked.start()
    return checked


def test_closing_is_where_it_was_at_every_moment(rig: Checked) -> None:
    rig.hold(30)
    rig.commands(new_order(client_id(1)), new_order(client_id(2), SELL))
    rig.kill()
    rig.reports(report(ReportKind.CANCEL_REJECTED, client_id(1)))
    rig.wait()
    rig.reports(report(ReportKind.CANCELLED, client_id(1)), report(ReportKind.CANCELLED, client_id(2)))
    (first,) = rig.closing()
    rig.reports(fill(int(first["order_id"]), 20, side=SELL, trade_id=2))
    rig.reports(report(ReportKind.EXPIRED, int(first["order_id"])))
    rig.wait(50 * MS)
    assert len(rig.closing()) == 1
    rig.kill(flatten=0)
    second = rig.closing()[-1]
    rig.reports(fill(int(second["order_id"]), 10, side=SELL, trade_id=3))
    rig.wait()
    assert rig.s["scopes"][0]["flattening"] == Flattening.CLOSED
    rig.ticks(tick(TickKind.STALE))
    rig.reports(fill(client_id(1), 4, trade_id=4))
    rig.wait()
    assert rig.s["scopes"][0]["flattening"] == Flattening.CLOSED
    rig.open_market(0)
    rig.wait()
    third = rig.closing()[-1]
    assert third["qty"] == 4
    rig.reports(fill(int(third["order_id"]), 4, side=SELL, trade_id=5))
    rig.wait()
    rig.commands(command(CommandKind.SET_TRADING_STATE, 0, value=TradingState.HALTED))
    rig.commands(command(CommandKind.CANCEL_ALL, 0, instrument=-1))
    rig.commands(command(CommandKind.SET_TRADING_STATE, 0, value=TradingState.ACTIVE))
    assert rig.seen == {
        (Cancelling.NOTHING, Flattening.NO),
        (Cancelling.EVERYTHING, Flattening.CLOSING),
        (Cancelling.NOTHING, Flattening.CLOSING),
        (Cancelling.NOTHING, Flattening.CLOSED),
    }


def test_closing_that_is_rejected_or_waits_in_vain_is_where_it_was(rig: Checked) -> None:
    rig.hold(30)
    rig.commands(new_order(client_id(1), SELL, qty=10))
    rig.reports(report(ReportKind.ACCEPTED, client_id(1)))
    rig.kill()
    rig.wait(6 * SECOND)
    for _ in range(3):
        rig.reports(report(ReportKind.REJECTED, int(rig.closing()[-1]["order_id"])))
        rig.wait(6 * SECOND)
    sums = rig.s["scopes"][0]
    assert (len(rig.closing()), sums["flatten_pause_ns"]) == (4, 800 * MS)
    rig.reports(fill(int(rig.closing()[-1]["order_id"]), 20, side=SELL, trade_id=2))
    assert (sums["flatten_pause_ns"], sums["flattening"]) == (0, Flattening.CLOSING)


def test_kill_without_closing_ends_when_no_order_is_open(rig: Checked) -> None:
    rig.kill(flatten=0)
    assert rig.s["scopes"][0]["cancelling"] == Cancelling.NOTHING
    rig.commands(command(CommandKind.SET_TRADING_STATE, 0, value=TradingState.ACTIVE))
    rig.commands(new_order(client_id(1)))
    rig.kill(flatten=0)
    rig.wait()
    assert rig.s["scopes"][0]["cancelling"] == Cancelling.EVERYTHING
    rig.reports(report(ReportKind.CANCELLED, client_id(1)))
    assert rig.s["scopes"][0]["cancelling"] == Cancelling.NOTHING


def test_losses_and_what_they_cancel_are_where_they_were(tmp_path: Path) -> None:
    rig = Checked(tmp_path)
    rig.s["scopes"]["max_daily_loss"][0] = CASH_SCALE // 2
    rig.s["accounts"]["resets"][0, :2] = rig.now + 20 * SECOND, rig.now + 1_000 * SECOND
    rig.start()
    rig.hold(100)
    rig.commands(new_order(client_id(1)), new_order(client_id(2), SELL, flags=OrderFlag.REDUCE_ONLY))
    rig.ticks(snapshot(0, {BID_PX - 100: 50}, {ASK_PX - 99: 50}))
    rig.wait()
    assert rig.s["scopes"][0]["cancelling"] == Cancelling.GROWING
    rig.reports(report(ReportKind.CANCEL_REJECTED, client_id(1)))
    rig.wait()
    rig.commands(command(CommandKind.CANCEL_ALL, 0, instrument=-1))
    rig.commands(command(CommandKind.SET_TRADING_STATE, 0, value=TradingState.HALTED))
    rig.kill()
    rig.commands(command(CommandKind.SET_TRADING_STATE, 0, value=TradingState.REDUCING))
    rig.wait(30 * SECOND)
    assert EventKind.TRADING_STATE in rig.events["kind"]
    assert {each for each, _ in rig.seen} == set(Cancelling)


@pytest.mark.parametrize("latency_ns", [0, 30 * MS])
def test_closing_at_the_exchange_model_is_where_it_was(tmp_path: Path, latency_ns: int) -> None:
    rig = Checked(tmp_path, external=False, latency_ns=latency_ns)
    rig.start()
    rig.commands(new_order(client_id(1), px=ASK_PX, qty=40), new_order(client_id(2), px=BID_PX - 50))
    rig.wait(200 * MS)
    rig.kill()
    for _ in range(6):
        rig.wait(40 * MS)
        rig.open_market(0)
    rig.wait()
    assert rig.position()["qty"] == 0
    assert rig.s["scopes"][0]["flattening"] == Flattening.CLOSED
