"""A core that is killed under load, again and again: nothing that it has told anyone is lost, nothing is done twice."""

from __future__ import annotations

import os
import time
from pathlib import Path
from random import Random

import numpy as np
import pytest

from oms.assembly import build_core
from oms.compiled import JIT
from oms.core.state import new_state
from oms.durable import differences
from oms.journal import Direction, read_journal, session_of, sessions
from oms.records import EventKind, OrderState, Reason, RecordKind, TradingState
from oms.recovery import definitions_of, recover
from tests.oms.core.builders import Records, amend, cancel, client_id, new_order
from tests.oms.core_process import CoreProcess, core_settings, submitted

KILLS = int(os.environ.get("ZOMS_KILLS", "3"))
"""Kills a seed; each under load, at a moment of its own."""

pytestmark = [pytest.mark.timeout(300), pytest.mark.skipif(not JIT, reason="a core as plain Python takes no load")]


def journalled(folder: Path) -> dict[int, Records]:
    """The events of each session."""
    found = {}
    for path in sessions(folder):
        parts = [
            entry.records
            for entry in read_journal(path)
            if entry.kind == RecordKind.EVENT and entry.direction == Direction.EVENT
        ]
        found[session_of(path)] = np.concatenate(parts) if parts else np.zeros(0, "V128")
    return found


def load(core: CoreProcess, random: Random, counter: int) -> int:
    """One round of ticks and a client's commands; returns the counter of its orders."""
    core.feed(random.randint(1, 3))
    best = int(core.market["px"][core.at])
    batch = []
    for _ in range(random.randint(1, 20)):
        counter += 1
        side = random.choice((1, -1))
        batch.append(new_order(client_id(counter), side, best - side * random.randint(-20, 200), random.randint(2, 5)))
        known = client_id(random.randint(1, counter))
        batch.append(random.choice((amend(known, best - 300), cancel(known))))
    core.client.send(np.concatenate(batch))
    core.listener.socket.poll(5)
    core.hear()
    return counter


@pytest.mark.parametrize("seed", [1])
def test_killed_core_loses_and_doubles_nothing(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    settings = core_settings(tmp_path, journal={"segment_mb": 1, "snapshot_mb": 1, "sessions_kept": 100})
    counter = 0
    with CoreProcess(settings) as core:
        for round_number in range(KILLS):
            core.start()
            assert core.trading_state == (TradingState.HALTED if round_number else TradingState.ACTIVE)
            core.resume()
            resent = [client_id(each) for each in range(max(1, counter - 50), counter + 1)]
            if resent:
                core.client.send(np.concatenate([new_order(each, 1, int(core.market["px"][0])) for each in resent]))
            end = time.monotonic() + random.uniform(0.05, 0.8)
            while time.monotonic() < end:
                counter = load(core, random, counter)
            core.kill()
        core.start()
        assert core.stop() == 0

    events = journalled(settings.journal_dir)
    for session in {session for session, _ in core.heard}:
        heard = np.concatenate([records for each, records in core.heard if each == session])
        there = events[session]
        assert np.isin(heard["seq"], there["seq"]).all(), "an event that was published is not in the journal"
        assert heard.tobytes() == there[np.isin(there["seq"], heard["seq"])].tobytes()
        assert there["seq"].tolist() == list(range(len(there)))
    every = np.concatenate(list(events.values()))
    first_states = [each[each["kind"] == EventKind.TRADING_STATE][0] for each in events.values()]
    reasons = [Reason.REQUESTED] + [Reason.RESTARTED] * KILLS
    assert [each["reason"] for each in first_states] == reasons
    ids = submitted(every)
    assert len(ids) == len(set(ids.tolist())) > 50
    fills = every[every["kind"] == EventKind.ORDER_FILLED]
    assert len(set(fills["aux"].tolist())) == len(fills) > 0

    definitions = definitions_of(settings)
    past = recover(new_state(), definitions, settings.snapshot_dir, settings.journal_dir)
    assert past.clean
    position = past.st[0]["positions"][0, 0, 0]
    assert position["qty"] == (fills["side"].astype(np.int64) * fills["last_qty"]).sum()
    assert position["fills"] == len(fills)
    orders = past.st[0]["orders"][: past.st[0]["orders_used"]]
    assert set(orders["order_id"].tolist()) == set(ids.tolist())
    assert not np.isin(orders["state"], [OrderState.LIVE, OrderState.PENDING_NEW]).any()
    scratch = recover(build_core(settings).st, definitions, tmp_path / "none", settings.journal_dir)
    assert list(differences(past.st, scratch.st, every_input=False)) == []
