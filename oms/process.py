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
from typing import Any, Final

import zmq

from oms.bus import BusError, Publisher, Puller, Subscriber, new_context
from oms.config import ConfigError, Settings, read_session
from oms.journal import Journal, JournalError, last_session_clean
from oms.lifecycle import UNUSABLE, Lifecycle, end_with_parent
from oms.records import Reason, RecordKind, Source, TradingState

PROCESSES: Final = {
    "core": "oms.process:run_core",
    "recorder": "oms.store.recorder:run",
    "rpc": "rpc.server:run",
    "gateway": "gateways.replay:run",
}
"""What each process of the family runs: ``run(settings, life, context) -> exit status``."""

MAX_WAIT_MS: Final = 50
NS_PER_MS: Final = 1_000_000
ORDER_COUNTER_EPOCH_NS: Final = 1_735_689_600 * 1_000 * NS_PER_MS
"""2025-01-01 UTC. Strategies' order counters start at the ms since then, so that no two sessions share an order id."""
PAUSE_OF_GC: Final = 1_000_000


def run_core(settings: Settings, life: Lifecycle, context: zmq.Context[Any]) -> int:
    """The core process: compile, bind, then turn until told to stop.

    A core that finds a journal which was not closed (it, or the machine, died) comes up HALTED: its positions are
    unknown to it, so it trades only after an operator's word.
    """
    from oms.assembly import build_core
    from oms.compiled import Progress
    from oms.core_loop import MIB, CoreLoop

    def on_progress(progress: Progress) -> None:
        counters = {"compiled": progress.done, "to_compile": progress.total, "elapsed_s": progress.elapsed_s}
        life.beat(counters, "compiling")
        if life.stopping:
            raise SystemExit(0)

    clean = last_session_clean(settings.journal_dir)
    core = build_core(settings, report=on_progress)
    events = Publisher(context, settings.events_endpoint, RecordKind.EVENT, Source.CORE)
    journal = Journal.create(
        settings.journal_dir,
        events.session,
        settings.journal_sync,
        settings.account,
        segment_bytes=settings.journal.segment_mb * MIB,
    )
    loop = CoreLoop(
        core,
        ticks=Subscriber(context, [settings.ticks_endpoint], [RecordKind.TICK]),
        inputs=Puller(context, settings.core_endpoint),
        events=events,
        journal=journal,
        settings=settings.journal,
    )
    core.st[0]["strategies"]["order_counter"] = (events.session - ORDER_COUNTER_EPOCH_NS) // NS_PER_MS
    if clean is False:
        loop.set_trading_state(TradingState.HALTED, Reason.RESTARTED)
    else:
        loop.set_trading_state(TradingState.ACTIVE, Reason.REQUESTED)
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
    loop.report()
    life.beat(loop.counters(), "stopping")
    loop.close()
    return 0


def main(arguments: list[str]) -> int:
    """Run the process that the arguments name and return its exit status."""
    if len(arguments) != 2 or arguments[0] not in PROCESSES:
        sys.stderr.write(f"usage: python -m oms.process {{{','.join(PROCESSES)}}} SESSION_FILE\n")
        return 2
    name, session_file = arguments
    end_with_parent()
    context = new_context()
    try:
        settings = read_session(Path(session_file))
        life = Lifecycle(name, context, settings.heartbeat_endpoint, settings.heartbeat_s)
        module, _, function = PROCESSES[name].partition(":")
        status: int = getattr(importlib.import_module(module), function)(settings, life, context)
        life.close()
    except (BusError, ConfigError, JournalError, OSError, RuntimeError, ValueError) as error:
        sys.stderr.write(f"{name}: {type(error).__name__}: {error}\n")
        status = UNUSABLE if isinstance(error, ValueError) else 1
    context.destroy(linger=500)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
