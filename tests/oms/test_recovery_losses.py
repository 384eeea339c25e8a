"""A reset of the day that falls into the downtime: the day begins with the PnL at the first prices after that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from oms.core.state import State
from oms.core.trading import Cancelling
from oms.durable import begin_session, differences
from oms.records import CASH_SCALE, CommandKind, EventKind, Reason, TradingState
from oms.recovery import recover, take_on
from oms.replay_all import WholeReplay
from tests.oms.core.builders import (
    BID_PX,
    SECOND,
    Rig,
    client_id,
    command,
    fill,
    new_order,
    reason_of,
    snapshot,
    time_tick,
)
from tests.oms.journalled import SESSION, JournalledRig
from tests.oms.test_recovery import DEFINITIONS, Account

pytestmark = pytest.mark.pure

TICK_LOT = 10_000
LOTS = 100
NEXT = SESSION + 1
LIMIT = LOTS * 50 * TICK_LOT
"""The day's loss that is too much: 50 ticks of what is held."""


def price(rig: Rig, px: int, instrument: int = 0) -> None:
    rig.ticks(snapshot(instrument, {px - 1: 1_000}, {px + 1: 1_000}))


def wait(rig: Rig, seconds: int = 1) -> None:
    rig.ticks(time_tick(rig.now + seconds * SECOND))


def restarted(folder: Path, *, every_input: bool = False) -> tuple[JournalledRig, Account, State]:
    """An account that has been restarted over a reset with an open position, and its state as the session began."""
    account = Account(folder)
    rig = account.rig
    resets = rig.now + SECOND * np.array([10, 1_000])
    for st in (rig.st, account.assembled):
        st[0]["accounts"]["resets"][0, :2] = resets
        st[0]["scopes"]["max_daily_loss"][0] = LIMIT
        st[0]["instruments"]["maker_fee_rate"] = 0
    price(rig, BID_PX)
    rig.commands(new_order(client_id(1), px=BID_PX, qty=LOTS))
    rig.reports(fill(client_id(1), LOTS, BID_PX, trade_id=1))
    price(rig, BID_PX + 20)
    wait(rig)
    rig.journal.close()
    account.snapshot(clean=True)
    after = JournalledRig(account.journal_dir, NEXT, every_input=every_input)
    for name in ("accounts", "scopes", "instruments", "instruments_used"):
        after.s[name] = account.assembled[0][name]
    past = recover(account.assembled, DEFINITIONS, account.snapshot_dir, account.journal_dir)
    begin_session(past.st, NEXT)
    take_on(after.st, past, DEFINITIONS)
    after.now = rig.now + 60 * SECOND
    return after, account, after.st.copy()


def test_the_day_waits_for_prices_and_begins_with_what_is_held_then(tmp_path: Path) -> None:
    rig, _, _ = restarted(tmp_path)
    sums = rig.s["scopes"][0]
    due = int(sums["next_reset"])
    assert due < rig.now
    price(rig, BID_PX, instrument=1)
    wait(rig, 3)
    assert (sums["unpriced"], sums["next_reset"], sums["day_start_pnl"]) == (1, due, 0)
    price(rig, BID_PX - 5_000)
    wait(rig)
    assert sums["day_start_pnl"] == -LOTS * 5_000 * TICK_LOT
    assert sums["next_reset"] == rig.s["accounts"]["resets"][0, 1]
    assert sums["trading_state"] == TradingState.ACTIVE
    price(rig, BID_PX - 5_049)
    wait(rig)
    assert sums["trading_state"] == TradingState.ACTIVE
    price(rig, BID_PX - 5_050)
    wait(rig)
    assert (sums["trading_state"], sums["reason"]) == (TradingState.REDUCING, Reason.DAILY_LOSS)


def test_nothing_opens_before_the_day_has_begun(tmp_path: Path) -> None:
    rig, _, _ = restarted(tmp_path)
    price(rig, BID_PX, instrument=1)
    assert reason_of(rig.commands(new_order(client_id(2), px=BID_PX, instrument=1))) == Reason.NO_PRICE


def test_what_yesterday_had_stopped_trades_again_once_there_are_prices(tmp_path: Path) -> None:
    rig, _, _ = restarted(tmp_path)
    sums = rig.s["scopes"][0]
    sums["trading_state"], sums["reason"] = TradingState.REDUCING, Reason.DAILY_LOSS
    wait(rig, 2)
    assert sums["trading_state"] == TradingState.REDUCING
    price(rig, BID_PX - 5_000)
    wait(rig)
    assert (sums["trading_state"], sums["reason"]) == (TradingState.ACTIVE, Reason.EXPIRED_DAY)


@pytest.mark.parametrize("every_input", [True, False])
def test_an_order_at_the_first_prices_is_judged_by_the_new_day(tmp_path: Path, every_input: bool) -> None:
    rig, account, begun = restarted(tmp_path, every_input=every_input)
    price(rig, BID_PX, instrument=1)
    wait(rig)
    price(rig, BID_PX - 5_000)
    assert reason_of(rig.commands(new_order(client_id(2), px=BID_PX - 5_100))) == Reason.NONE
    assert rig.s["scopes"]["day_start_pnl"][0] == -LOTS * 5_000 * TICK_LOT
    if every_input:
        WholeReplay(begun).session(rig.folder, NEXT)
    else:
        begun = recover(account.assembled, DEFINITIONS, account.snapshot_dir, account.journal_dir).st
    assert list(differences(rig.st, begun, every_input=every_input)) == []


def test_a_replay_of_the_orders_knows_the_losses_of_an_account_that_someone_has_set_reducing(tmp_path: Path) -> None:
    account = Account(tmp_path)
    rig = account.rig
    for st in (rig.st, account.assembled):
        st[0]["scopes"]["max_drawdown"][0] = LIMIT
    price(rig, BID_PX)
    rig.commands(new_order(client_id(1), px=BID_PX, qty=LOTS), new_order(client_id(2), px=BID_PX - 5_000))
    rig.reports(fill(client_id(1), LOTS, BID_PX, trade_id=1))
    rig.commands(command(CommandKind.SET_TRADING_STATE, 0, value=TradingState.REDUCING))
    price(rig, BID_PX - 100)
    wait(rig)
    rig.commands(command(CommandKind.CANCEL_ALL, 0, instrument=-1))
    sums = rig.s["scopes"][0]
    assert (sums["reason"], sums["cancelling"], sums["drawn_down"]) == (Reason.REQUESTED, Cancelling.GROWING, 1)
    rig.journal.close()
    again = recover(account.assembled, DEFINITIONS, account.snapshot_dir, account.journal_dir).st
    assert list(differences(rig.st, again, every_input=False)) == []


def run_on(rig: JournalledRig) -> None:
    price(rig, BID_PX, instrument=1)
    wait(rig, 2)
    for px in (BID_PX - 5_000, BID_PX - 5_020, BID_PX - 5_060):
        price(rig, px)
        wait(rig)
    assert rig.s["scopes"]["day_start_pnl"][0] == -LOTS * 5_000 * TICK_LOT
    assert EventKind.TRADING_STATE in rig.events["kind"]


def test_a_replay_of_the_orders_begins_the_day_alike(tmp_path: Path) -> None:
    rig, account, _ = restarted(tmp_path)
    run_on(rig)
    again = recover(account.assembled, DEFINITIONS, account.snapshot_dir, account.journal_dir).st
    assert list(differences(rig.st, again, every_input=False)) == []
    assert again[0]["scopes"]["day_start_pnl"][0] // CASH_SCALE == -LOTS * 5_000 * TICK_LOT // CASH_SCALE


def test_a_replay_of_every_input_begins_the_day_alike(tmp_path: Path) -> None:
    rig, _, begun = restarted(tmp_path, every_input=True)
    run_on(rig)
    WholeReplay(begun).session(rig.folder, NEXT)
    assert list(differences(rig.st, begun, every_input=True)) == []
