"""A core under test that keeps a journal as the core's loop does, and the means to rebuild it from there."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any, Final

import numpy as np

from oms import engine
from oms.core.state import State
from oms.durable import differences
from oms.journal import Direction, Journal
from oms.records import (
    EventKind,
    Liquidity,
    OrderState,
    OrderType,
    RecordKind,
    ReportKind,
    TimeInForce,
    TradingState,
)
from oms.replay import Replay, Replayed
from tests.oms.core.builders import (
    ASK_PX,
    BID_PX,
    BUY,
    SELL,
    Records,
    Rig,
    amend,
    cancel,
    client_id,
    command,
    depth,
    fill,
    new_order,
    report,
    snapshot,
    time_tick,
    trade,
)

SESSION: Final = 1_723_075_200_000_000_000
SIDES: Final = (BUY, SELL)


class JournalledRig(Rig):
    """A rig whose outputs go to a journal, each step committed alone.

    Parameters
    ----------
    folder : Path
        The journal's.
    every_input : bool
        Journal ticks and commands too, as with ``journal.inputs = "all"``.
    """

    def __init__(
        self,
        folder: Path,
        session: int = SESSION,
        segment_bytes: int = 1 << 26,
        every_input: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._every_input = every_input
        self.folder = folder
        self.journal = Journal.create(folder, session, "os", "paper", segment_bytes=segment_bytes)
        self._reports_from = Direction.OUTPUT

    def flush(self) -> Records:
        for kind, direction, table, counter in (
            (RecordKind.REPORT, self._reports_from, "reports", "report_count"),
            (RecordKind.COMMAND, Direction.OUTPUT, "commands", "command_count"),
            (RecordKind.PARENT, Direction.OUTPUT, "told_parents", "parent_count"),
            (RecordKind.EVENT, Direction.EVENT, "events", "event_count"),
        ):
            self.journal.append(kind, direction, self.s[table][: self.s[counter]])
        self.journal.commit()
        return super().flush()

    def _step(self, step: Any, records: Records, *arguments: int) -> Records:
        if step is engine.step_definitions:
            self.journal.append(RecordKind.DEFINITION, Direction.INPUT, records)
        kind = {engine.step_ticks: RecordKind.TICK, engine.step_commands: RecordKind.COMMAND}.get(step)
        if self._every_input and kind is not None:
            self.journal.append(kind, Direction.INPUT, records, arguments[0] if arguments else None)
        return super()._step(step, records, *arguments)

    def terms(self, terms: Records) -> None:
        """Take what algorithms are to work the orders of the next commands."""
        if self._every_input:
            self.journal.append(RecordKind.TERMS, Direction.INPUT, terms)
        engine.take_terms(self.st, terms)

    def reports(self, *reports: Records) -> Records:
        self._reports_from = Direction.INPUT
        try:
            return super().reports(*reports)
        finally:
            self._reports_from = Direction.OUTPUT


def rebuilt(like: Rig, folder: Path, session: int = SESSION) -> tuple[Rig, Replayed]:
    """A new core with the rig's definitions, and what its journal makes of it."""
    rig = Rig(external=True)
    copy_definitions(rig.st, like.st)
    return rig, Replay(rig.st).session(folder, session)


def copy_definitions(target: State, source: State) -> None:
    for name in ("instruments", "instruments_used", "accounts"):
        target[0][name] = source[0][name]
    for name in ("limits", "scopes"):
        for part in target[0][name].dtype.names:
            if part.startswith(("max_", "defined", "collar", "order_interval")):
                target[0][name][part] = source[0][name][part]


def random_steps(seed: int, count: int) -> Iterable[tuple[str, Records]]:
    """Inputs of every kind, many of them wrong, from one seed: ``(method of the rig, records)``."""
    random = Random(seed)
    counter = 0
    trade_id = 0
    for i in (0, 1, 2):
        yield "ticks", snapshot(i, {BID_PX: 1_000, BID_PX - 3: 50}, {ASK_PX: 1_000, ASK_PX + 2: 40})
    for _ in range(count):
        known = client_id(random.randint(1, max(counter, 1)))
        side = random.choice(SIDES)
        px = random.randint(BID_PX - 6, ASK_PX + 6)
        qty = random.randint(1, 30)
        instrument = random.choice((0, 0, 0, 1))
        kind = random.randrange(10)
        if kind <= 2:
            counter += 1
            is_market = random.random() < 0.2
            yield (
                "commands",
                new_order(
                    client_id(counter),
                    side,
                    0 if is_market else px,
                    qty,
                    instrument=instrument,
                    order_type=OrderType.MARKET if is_market else OrderType.LIMIT,
                    time_in_force=random.choice((TimeInForce.IOC, TimeInForce.FOK))
                    if is_market
                    else random.choice(list(TimeInForce)[:3]),
                    request_id=counter,
                ),
            )
        elif kind == 3:
            yield "commands", amend(known, random.choice((0, px)), random.choice((0, qty)))
        elif kind == 4:
            yield "commands", cancel(known)
        elif kind == 5:
            yield "ticks", depth(side, px, random.choice((0, qty)), instrument=instrument)
        elif kind == 6:
            yield "ticks", random.choice((trade(side, px, qty, instrument=instrument), time_tick()))
        elif kind == 7:
            trade_id += random.randrange(2)
            yield (
                "reports",
                fill(known, qty, px, side=side, trade_id=trade_id, liquidity=random.choice(list(Liquidity)[1:])),
            )
        elif kind == 8:
            yield "reports", report(random.choice(list(ReportKind)[:8]), known, px=px, qty=qty, side=side)
        else:
            state = random.choice((TradingState.ACTIVE, TradingState.ACTIVE, TradingState.REDUCING))
            yield "commands", command(random.choice((4, 5)), 0, instrument=-1, value=state)


def run(rig: Rig, steps: Iterable[tuple[str, Records]]) -> None:
    for method, records in steps:
        getattr(rig, method)(records)


def differing(st: State, other: State) -> list[tuple[str, int, int, int]]:
    """What two states that saw the same orders and reports differ in."""
    return list(differences(st, other, every_input=False))


def open_orders(st: State) -> Records:
    used = st[0]["orders"][: st[0]["orders_used"]]
    states = [OrderState.PENDING_NEW, OrderState.LIVE, OrderState.PENDING_AMEND, OrderState.PENDING_CANCEL]
    found: Records = used[np.isin(used["state"], states)]
    return found


def filled(events: Records) -> Records:
    found: Records = events[events["kind"] == EventKind.ORDER_FILLED]
    return found
