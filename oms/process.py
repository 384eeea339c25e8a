"""One process of the family: ``python -m oms.process NAME SESSION_FILE``.

The composition root: it reads the session's settings, makes the context and the lifecycle, and runs what NAME stands
for. An error ends the process with one line on stderr; the supervisor shows it and decides what follows.
"""

from __future__ import annotations

import gc
import importlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import zmq

from oms.bus import BusError, Publisher, Puller, Pusher, Subscriber, new_context
from oms.config import ConfigError, Settings, read_session
from oms.family import role_and_venue
from oms.full_disk import LogStream, is_full_disk
from oms.journal import Journal, JournalError
from oms.lifecycle import NO_SPACE, PARENT_GRACE_S, UNUSABLE, Lifecycle, end_with_parent
from oms.order_entry import closed_entry
from oms.records import InstrumentState, Reason, RecordKind, Source, TradingState
from oms.venue_requests import VenueRequests

if TYPE_CHECKING:
    from oms.core.state import State
    from oms.core_loop import CoreLoop
    from oms.recovery import Past
    from oms.snapshot import Definitions

PROCESSES: Final = {
    "core": "oms.process:run_core",
    "recorder": "oms.store.recorder:run",
    "rpc": "rpc.server:run",
    "gateway": "gateways.replay:run",
    "orders": "gateways.orders.process:run",
}
"""What each process of the family runs: ``run(settings, life, context) -> exit status``. The process of a venue is
named with it, ``orders.okx``, and what it runs takes the venue's name behind that."""

LIVE_PROCESSES: Final = {"gateway": "gateways.live.market_data:run"}
"""What runs instead where the settings name instruments whose market data are live."""

PARENT_GRACES_S: Final = {"orders": 25.0}
"""How long a process may outlive its supervisor, where that is longer than others: it has orders to cancel."""

MAX_WAIT_MS: Final = 50
LAST_INPUTS_S: Final = 1.0
"""Longest that the end waits for inputs that keep coming."""
PAUSE_OF_GC: Final = 1_000_000


def run_core(settings: Settings, life: Lifecycle, context: zmq.Context[Any]) -> int:
    """The core process: compile, bind, then turn until told to stop.

    What the sessions before have left is rebuilt first (``oms.recovery``); a core that cannot do that without doubt
    does not come up. One that finds a journal which was not closed (it, or the machine, died) comes up HALTED.
    """
    from oms.assembly import build_core
    from oms.compiled import Progress
    from oms.core_loop import MIB, CoreLoop
    from oms.definitions import read_definitions
    from oms.durable import begin_session
    from oms.recovery import definitions_of, in_force, take_on
    from oms.snapshot import Place, SnapshotError
    from oms.snapshot_keeper import SnapshotKeeper
    from oms.store.progress import unstored_from

    def on_progress(progress: Progress) -> None:
        counters = {"compiled": progress.done, "to_compile": progress.total, "elapsed_s": progress.elapsed_s}
        life.beat(counters, "compiling")
        if life.stopping:
            raise SystemExit(0)

    core = build_core(settings, report=on_progress)
    definitions = definitions_of(settings)
    life.beat({}, "recovering")
    past = recover_past(core.st, definitions, settings)
    definitions = take_on(core.st, past, definitions, read_definitions(settings.definitions_file))
    for note in past.notes:
        sys.stderr.write(f"core: {note}\n")
    events = Publisher(context, settings.events_endpoint, RecordKind.EVENT, Source.CORE)
    begin_session(core.st, events.session)
    journal = Journal.create(
        settings.journal_dir,
        events.session,
        settings.journal_sync,
        settings.account,
        segment_bytes=settings.journal.segment_mb * MIB,
    )
    loop = CoreLoop(
        core,
        ticks=Subscriber(context, settings.ticks_endpoints, [RecordKind.TICK]),
        inputs=Puller(context, settings.core_endpoint),
        events=events,
        journal=journal,
        orders=requests_out(settings, context),
        settings=settings.journal,
        instruments_of=fed_by(settings),
    )
    keeper = SnapshotKeeper(
        core.st,
        journal,
        settings.snapshot_dir,
        lambda: in_force(definitions, core.st, read_definitions(settings.definitions_file)),
        every_bytes=settings.journal.snapshot_mb * MIB,
        kept=settings.journal.snapshots_kept,
        sessions_kept=settings.journal.sessions_kept,
        session_kept_bytes=settings.journal.session_kept_mb * MIB,
        unread=lambda session: unstored_from(settings.store_dir, session),
        whole=settings.journal.inputs == "all",
    )
    keeper.take(Place(events.session, 0, 0, 0))
    if settings.mode == "firm":
        loop.take_reports(closed_entry(settings, Reason.NOT_RECONCILED))
    resume_trading(loop, past)
    resume_instruments(loop, settings)
    gc.collect()
    gc.freeze()
    gc.set_threshold(PAUSE_OF_GC)
    wait_ms = max(1, min(MAX_WAIT_MS, int(settings.heartbeat_s * 500)))
    life.beat(loop.counters(), "ready")
    due = time.monotonic() + settings.heartbeat_s
    while not life.stopping:
        loop.turn(wait_ms)
        if time.monotonic() >= due:
            due = time.monotonic() + settings.heartbeat_s
            loop.report()
            life.beat(loop.counters())
        if keeper.due:
            keeper.begin(loop.place())
        keeper.step()
    take_last_inputs(loop)
    loop.report()
    life.beat(loop.counters(), "stopping")
    keeper.finish()
    loop.close()
    if keeper.last_error:
        sys.stderr.write(f"core: {keeper.last_error}\n")
    try:
        keeper.take(loop.place_at_end(), clean=True)
    except SnapshotError as error:  # the journal has everything: the next start replays more of it
        sys.stderr.write(f"core: {error}\n")
    return 0


def take_last_inputs(loop: CoreLoop) -> None:
    """Take what processes that have ended before this one have left on the way: an exchange's last answers."""
    until = time.monotonic() + LAST_INPUTS_S
    while time.monotonic() < until and loop.inputs.socket.poll(MAX_WAIT_MS):
        loop.drain_inputs()


def requests_out(settings: Settings, context: zmq.Context[Any]) -> VenueRequests | None:
    """Where requests leave for the exchanges; None: the exchange model in the core answers them.

    It connects, so that requests wait here while the process behind it is being started again.
    """
    if settings.mode == "paper":
        return None
    venues = settings.venues
    return VenueRequests(
        [Pusher(context, settings.orders_endpoint(venue), RecordKind.COMMAND, Source.CORE) for venue in venues],
        {each.id: venues.index(each.venue) for each in settings.instruments if each.venue in venues},
    )


def fed_by(settings: Settings) -> dict[int, list[int]]:
    """By source of TICK frames the instruments whose ticks they bring; empty: one source brings all of them."""
    if not settings.is_live:
        return {}
    return {
        settings.source(Source.GATEWAY, venue): [each.id for each in settings.live_instruments if each.venue == venue]
        for venue in settings.venues
    }


def recover_past(assembled: State, definitions: Definitions, settings: Settings) -> Past:
    """What the sessions before have left; raises ``RecoveryError`` when that is in doubt, and says what it is."""
    from oms.recovery import RecoveryError, recover
    from oms.snapshot import SnapshotError

    start = time.perf_counter()
    try:
        past = recover(assembled, definitions, settings.snapshot_dir, settings.journal_dir)
    except (JournalError, SnapshotError) as error:
        raise RecoveryError(str(error)) from error
    records = sum(each.records for each in past.sessions)
    if records:
        sys.stderr.write(f"core: {records:,} journal records replayed in {time.perf_counter() - start:.2f} s\n")
    return past


def resume_trading(loop: CoreLoop, past: Past) -> None:
    """Say how the session begins: what the restart has ended, and in which state trading is.

    With the process the exchange model has ended, and every order in it; a real exchange has not.

    After a clean end trading goes on as it stood; after an unclean one it is HALTED until somebody says otherwise. A
    strategy stands as it stood, which is said of those that are not ACTIVE.
    """
    from oms.core.state import MAX_ACCOUNTS
    from oms.recovery import cancelled_by_restart

    if loop.orders is None and len(ended := cancelled_by_restart(loop.core.st)):
        loop.take_reports(ended)
    s = loop.core.st[0]
    for account in np.flatnonzero(s["accounts"]["defined"]).tolist():
        scope = s["scopes"][account]
        if past.clean is None:
            loop.set_trading_state(TradingState.ACTIVE, Reason.REQUESTED, account)
        elif past.clean:
            reason = Reason(int(scope["reason"]) or Reason.REQUESTED)
            loop.set_trading_state(TradingState(int(scope["trading_state"])), reason, account)
        else:
            loop.set_trading_state(TradingState.HALTED, Reason.RESTARTED, account)
    for strategy in range(int(s["strategies_used"])):
        scope = s["scopes"][MAX_ACCOUNTS + strategy]
        if scope["defined"] and scope["trading_state"] != TradingState.ACTIVE:
            reason = Reason(int(scope["reason"]) or Reason.REQUESTED)
            account = int(s["strategies"][strategy]["account"])
            loop.set_trading_state(TradingState(int(scope["trading_state"])), reason, account, strategy)


def resume_instruments(loop: CoreLoop, settings: Settings) -> None:
    """Have those instruments say how they stand that are not traded, or not in the settings' version; the ones that
    were changing to a new version go on with that."""
    s = loop.core.st[0]
    versions = {each.id: each.version for each in settings.instruments}
    told = [
        number
        for number, version in versions.items()
        if s["instrument_states"][number] != InstrumentState.TRADING or s["instruments"]["version"][number] != version
    ]
    if told:
        loop.ask_instruments(told)


def status_of(error: BaseException) -> int:
    """The exit status by which a process that an error has ended says which kind of error."""
    if is_full_disk(error):
        return NO_SPACE
    return UNUSABLE if isinstance(error, ValueError) else 1


def main(arguments: list[str]) -> int:
    """Run the process that the arguments name and return its exit status."""
    role, venue = role_and_venue(arguments[0] if arguments else "")
    if len(arguments) != 2 or role not in PROCESSES:
        sys.stderr.write(f"usage: python -m oms.process {{{','.join(PROCESSES)}}}[.VENUE] SESSION_FILE\n")
        return 2
    name, session_file = arguments
    end_with_parent(PARENT_GRACES_S.get(role, PARENT_GRACE_S))
    context = new_context()
    try:
        settings = read_session(Path(session_file))
        life = Lifecycle(name, context, settings.heartbeat_endpoint, settings.heartbeat_s)
        processes = PROCESSES | (LIVE_PROCESSES if settings.is_live else {})
        module, _, function = processes[role].partition(":")
        of_venue = (venue,) if venue else ()
        status: int = getattr(importlib.import_module(module), function)(settings, life, context, *of_venue)
        life.close()
    except (BusError, ConfigError, JournalError, OSError, RuntimeError, ValueError) as error:
        sys.stderr.write(f"{name}: {type(error).__name__}: {error}\n")
        status = status_of(error)
    context.destroy(linger=500)
    return status


if __name__ == "__main__":
    sys.stderr = LogStream()
    sys.exit(main(sys.argv[1:]))
