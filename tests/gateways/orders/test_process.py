"""The process: commands and reports over the bus, heartbeats, the dead man's switch, keys that stay secret."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from gateways.account_claim import ClaimError
from gateways.credentials import PASSPHRASE, CredentialsError, variable
from gateways.orders.clock import Clock
from gateways.orders.process import serve
from gateways.sandbox.server import Sandbox
from gateways.sidecar import open_recording
from oms.bus import Puller, Pusher, Records, new_context
from oms.config import LiveSettings, SandboxSettings, Settings, load_settings
from oms.instruments import Instrument
from oms.journal import Journal
from oms.journal_format import Direction
from oms.records import (
    COMMAND,
    CommandKind,
    EventKind,
    OrderFlag,
    OrderState,
    OrderType,
    Reason,
    RecordKind,
    ReportKind,
    Source,
    TimeInForce,
    Trigger,
    TriggerSource,
)
from tests.gateways.orders.booth import FAR, SkippingClock
from tests.gateways.orders.test_past import event
from tests.gateways.sandbox.desk import RECORDING, defined, shipped_instrument

ORDER_ID = 1024 << 40 | 1

VENUE = "binance_usdm"
KEY, SECRET = (variable(VENUE, part) for part in ("key", "secret"))


class OwnLife:
    """Ends the process when it is told to, and keeps its heartbeats."""

    def __init__(self) -> None:
        self.stopping = False
        self.core_ended = False
        self.states: list[str] = []
        self.counters: dict[str, float] = {}

    def beat(self, counters: Mapping[str, float], state: str = "") -> bool:
        self.states += [state] * bool(state)
        self.counters = dict(counters)
        return True


def own_settings(folder: Path, *, trade: bool = True, orders_at_end: str = "cancel") -> Settings:
    return load_settings(
        None,
        {
            "replay": {"file": str(RECORDING)},
            "firm": {"trade": trade, "orders_at_end": orders_at_end},
            "data_dir": str(folder),
            "heartbeat_s": 0.02,
            "watchdog_s": 5.0,
        },
    )


def command(kind: CommandKind, **fields: Any) -> Any:
    record = np.zeros(1, COMMAND)
    terms = {"side": 1, "order_type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC, "qty": 100, "px": FAR}
    for name, value in ({"order_id": ORDER_ID, "kind": kind, "strategy": -1} | terms | fields).items():
        record[name] = value
    return record


def drained(puller: Puller) -> list[Any]:
    """Every report that has come."""
    return [report for frame in puller.drain(1_000) for report in frame.records]


async def until_reason(puller: Puller, reason: Reason) -> None:
    """Wait for a rejection of this reason."""
    async with asyncio.timeout(20):
        while not any(each["kind"] == ReportKind.REJECTED and each["reason"] == reason for each in drained(puller)):
            await asyncio.sleep(0)


async def reports_until(puller: Puller, kind: ReportKind) -> list[ReportKind]:
    found: list[ReportKind] = []
    async with asyncio.timeout(20):
        while kind not in found:
            frame = puller.receive()
            if frame is None:
                await asyncio.sleep(0)
                continue
            found += [ReportKind(int(report["kind"])) for report in frame.records]
    return found


class Bus:
    """The core's side of the bus, the sandbox and the process under test."""

    def __init__(
        self, settings: Settings, sandbox: Sandbox, folder: Path, clock: Clock | None, instrument: Instrument
    ) -> None:
        settings.socket_dir.mkdir(parents=True, exist_ok=True)
        ca_file = folder / "ca.pem"
        ca_file.write_bytes(sandbox.ca_pem)
        self.sandbox = sandbox
        venue = instrument.venue
        self.settings = msgspec.structs.replace(
            settings, live=LiveSettings(sandbox={venue: SandboxSettings(port=sandbox.port, ca=str(ca_file))})
        )
        self.context = new_context()
        self.orders = Pusher(self.context, settings.orders_endpoint(venue), RecordKind.COMMAND, Source.CORE)
        self.core = Puller(self.context, settings.core_endpoint)
        self.life = OwnLife()
        self.instrument = instrument
        login = zip(("key", "secret", PASSPHRASE), sandbox.login.values(), strict=True)
        self.environment = {variable(venue, part): text for part, text in login}
        self.serving = asyncio.ensure_future(
            serve(self.settings, self.life, self.context, self.environment, venue, clock, audit_s=0.05)
        )
        self.account = sandbox.venue.exchange.accounts[0]

    async def until(self, name: str) -> None:
        """Wait until a counter of its heartbeat is not 0."""
        async with asyncio.timeout(20):
            while not self.life.counters.get(name):
                assert not self.serving.done(), self.serving.exception()
                await asyncio.sleep(0)

    async def end(self) -> None:
        """Stop the process, and wait for its end."""
        self.life.stopping = True
        assert await self.serving == 0

    def close(self) -> None:
        self.orders.close()
        self.core.close()
        self.context.destroy(linger=0)


def on_bus(
    folder: Path,
    body: Callable[[Bus], Awaitable[None]],
    recording: Path = RECORDING,
    instrument: Instrument | None = None,
    clock: Clock | None = None,
    traded: Instrument | None = None,
    **options: Any,
) -> None:
    """Run a coroutine over a ``Bus``; options are those of ``own_settings``.

    What the sandbox trades is what is recorded, or an instrument that the recording stands for; the process trades
    that, or the same under another venue's name.
    """
    settings, offered = defined(own_settings(folder, **options), instrument or shipped_instrument(recording))
    settings, ours = defined(settings, traded) if traded is not None else (settings, offered)

    async def run() -> None:
        async with Sandbox(open_recording(recording), offered) as sandbox:
            sandbox.step(50)
            bus = Bus(settings, sandbox, folder, clock, ours)
            try:
                await body(bus)
            finally:
                bus.life.stopping = True
                await asyncio.wait((bus.serving,))
                bus.close()

    asyncio.run(run())


def test_commands_of_the_bus_are_traded_and_reports_come_back(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async def body(bus: Bus) -> None:
        told = await reports_until(bus.core, ReportKind.BALANCE)
        assert told[0] is ReportKind.ORDER_ENTRY  # closed, before anything else
        await bus.until("trades")
        bus.orders.send(command(CommandKind.NEW))
        assert (await reports_until(bus.core, ReportKind.ACCEPTED))[-1] is ReportKind.ACCEPTED
        assert len(bus.account.open_orders) == 1
        bus.orders.send(command(CommandKind.CANCEL))
        assert await reports_until(bus.core, ReportKind.CANCELLED) == [ReportKind.CANCELLED]
        await bus.end()
        assert bus.life.states == ["recovering", "ready", "stopping"]
        said = capfd.readouterr().err
        assert "reconciled: trading" in said
        assert bus.sandbox.login["apiKey"] not in said
        assert bus.sandbox.login["secret"] not in said

    on_bus(tmp_path, body)


def journal_of(folder: Path, session: int) -> Journal:
    """A core's journal of one more session."""
    return Journal.create(own_settings(folder).journal_dir, session, "os", "paper")


def note(journal: Journal, *events: Records) -> None:
    """Have a core say that these have happened."""
    journal.append(RecordKind.EVENT, Direction.EVENT, np.concatenate(events))
    journal.commit()


def test_core_that_has_died_is_told_what_it_missed_and_what_it_had_asked_for_is_done(tmp_path: Path) -> None:
    async def body(bus: Bus) -> None:
        await bus.until("trades")
        for number in (1, 2):
            bus.orders.send(command(CommandKind.NEW, order_id=ORDER_ID + number))
            await reports_until(bus.core, ReportKind.ACCEPTED)
        journal = journal_of(tmp_path, 6)
        note(
            journal,
            event(EventKind.ORDER_SUBMITTED, ORDER_ID + 1, OrderState.PENDING_NEW, px=FAR),
            event(EventKind.CANCEL_SUBMITTED, ORDER_ID + 2, OrderState.PENDING_CANCEL, px=FAR),
        )
        told = await reports_until(bus.core, ReportKind.CANCELLED)
        told += [] if ReportKind.ACCEPTED in told else await reports_until(bus.core, ReportKind.ACCEPTED)
        assert told.count(ReportKind.ACCEPTED) == told.count(ReportKind.CANCELLED) == 1
        assert len(bus.account.open_orders) == 1
        await bus.until("trades")
        assert bus.life.states == ["recovering", "ready", "recovering", "ready"]
        journal.close()

    note(first := journal_of(tmp_path, 5), event(EventKind.LOG))
    first.close()
    on_bus(tmp_path, body)


def test_command_that_was_lost_on_the_bus_is_found_in_the_journal(tmp_path: Path) -> None:
    journal = journal_of(tmp_path, 5)

    async def body(bus: Bus) -> None:
        await bus.until("trades")
        bus.orders.send(command(CommandKind.NEW))
        await reports_until(bus.core, ReportKind.ACCEPTED)
        note(journal, event(EventKind.CANCEL_SUBMITTED, ORDER_ID, OrderState.PENDING_CANCEL, px=FAR))
        bus.orders.seq += 1  # its command
        bus.orders.send(command(CommandKind.CANCEL_ALL, account=5))
        await reports_until(bus.core, ReportKind.CANCELLED)
        assert not bus.account.open_orders

    on_bus(tmp_path, body)
    journal.close()


def test_end_of_the_session_closes_entry_and_cancels_what_is_open(tmp_path: Path) -> None:
    async def body(bus: Bus) -> None:
        await bus.until("trades")
        for number in (1, 2, 3):
            bus.orders.send(command(CommandKind.NEW, order_id=ORDER_ID + number))
        await bus.until("open_orders")
        await reports_until(bus.core, ReportKind.ACCEPTED)
        await bus.end()
        assert not bus.account.open_orders
        assert bus.life.counters["left_open"] == 0
        closed = [report for report in drained(bus.core) if report["kind"] == ReportKind.ORDER_ENTRY]
        assert {int(report["reason"]) for report in closed} == {Reason.SESSION_ENDS}
        bus.orders.send(command(CommandKind.NEW, order_id=ORDER_ID + 9))

    on_bus(tmp_path, body)


def test_orders_that_are_to_stay_do(tmp_path: Path) -> None:
    async def body(bus: Bus) -> None:
        await bus.until("trades")
        bus.orders.send(command(CommandKind.NEW))
        await reports_until(bus.core, ReportKind.ACCEPTED)
        await bus.end()
        assert len(bus.account.open_orders) == 1
        bus.sandbox.advance(61_000)
        assert len(bus.account.open_orders) == 1  # the exchange has been told that nobody watches any more

    on_bus(tmp_path, body, orders_at_end="keep")


def test_stop_that_protects_outlives_the_core_whatever_is_to_stay_at_the_end(tmp_path: Path) -> None:
    async def body(bus: Bus) -> None:
        await bus.until("trades")
        stop = {"order_type": OrderType.MARKET, "side": -1, "trigger": Trigger.STOP, "trigger_px": FAR, "px": 0}
        flags = OrderFlag.AT_EXCHANGE | OrderFlag.REDUCE_ONLY
        bus.orders.send(command(CommandKind.NEW, flags=flags, trigger_source=TriggerSource.LAST, **stop))
        await reports_until(bus.core, ReportKind.ACCEPTED)
        bus.orders.send(command(CommandKind.NEW, order_id=ORDER_ID + 1))
        await reports_until(bus.core, ReportKind.ACCEPTED)
        bus.life.core_ended = True
        await bus.end()
        assert not bus.account.open_orders
        assert len(bus.sandbox.venue.conditionals.open_of(bus.account)) == 1
        assert bus.life.counters["left_open"] == 1, "the session's end, should no core come again, is to say so"

    on_bus(tmp_path, body, orders_at_end="cancel")


def test_gateway_that_has_died_has_its_orders_cancelled_by_the_exchange(tmp_path: Path) -> None:
    async def body(bus: Bus) -> None:
        await bus.until("trades")
        bus.orders.send(command(CommandKind.NEW))
        await reports_until(bus.core, ReportKind.ACCEPTED)
        bus.serving.cancel()
        await asyncio.wait((bus.serving,))
        assert len(bus.account.open_orders) == 1
        bus.sandbox.advance(61_000)
        assert not bus.account.open_orders

    on_bus(tmp_path, body)


def test_second_session_on_an_exchange_account_does_not_begin(tmp_path: Path) -> None:
    async def body(bus: Bus) -> None:
        elsewhere = msgspec.structs.replace(bus.settings, data_dir=str(tmp_path / "elsewhere"))
        await bus.until("trades")
        with pytest.raises(ClaimError, match="is traded by process"):
            await serve(elsewhere, OwnLife(), bus.context, bus.environment, VENUE)

    on_bus(tmp_path, body)


def test_session_that_may_not_trade_sends_nothing_that_changes_anything(tmp_path: Path) -> None:
    async def body(bus: Bus) -> None:
        await bus.until("is_reconciled")
        bus.orders.send(command(CommandKind.NEW))
        assert (await reports_until(bus.core, ReportKind.REJECTED))[-1] is ReportKind.REJECTED
        bus.orders.send(command(CommandKind.CANCEL))
        bus.orders.send(command(CommandKind.CANCEL_ALL, account=-1, instrument=-1))
        assert (await reports_until(bus.core, ReportKind.CANCEL_REJECTED))[-1] is ReportKind.CANCEL_REJECTED
        await bus.end()
        assert not bus.sandbox.venue.exchange.orders
        assert bus.life.counters["trades"] == 0

    on_bus(tmp_path, body, trade=False)


def test_orders_that_waited_too_long_on_the_bus_do_not_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(bus: Bus) -> None:
        now_ns = time.time_ns()
        with monkeypatch.context() as patch:
            patch.setattr("oms.bus.time.time_ns", lambda: now_ns - 6 * 10**9)
            bus.orders.send(command(CommandKind.NEW))  # before the gateway has begun to look
        await until_reason(bus.core, Reason.COMMAND_TOO_LATE)
        await bus.until("trades")
        assert not bus.sandbox.venue.exchange.orders
        bus.orders.send(command(CommandKind.NEW, order_id=ORDER_ID + 1))
        await reports_until(bus.core, ReportKind.ACCEPTED)

    on_bus(tmp_path, body)


def test_order_of_which_nothing_was_heard_is_found_in_the_journal(tmp_path: Path) -> None:
    journal = journal_of(tmp_path, 5)

    async def body(bus: Bus) -> None:
        await bus.until("trades")
        note(journal, event(EventKind.ORDER_SUBMITTED, ORDER_ID, OrderState.PENDING_NEW, px=FAR))
        assert (await reports_until(bus.core, ReportKind.REJECTED))[-1] is ReportKind.REJECTED
        assert not bus.sandbox.venue.exchange.orders

    on_bus(tmp_path, body, clock=SkippingClock(longest_s=15.0))
    journal.close()


@pytest.mark.parametrize("missing", [KEY, SECRET])
def test_process_without_keys_does_not_start(tmp_path: Path, missing: str) -> None:
    environment = {KEY: "k", SECRET: "s"}
    del environment[missing]
    context = new_context()
    with pytest.raises(CredentialsError, match=missing):
        asyncio.run(serve(own_settings(tmp_path), OwnLife(), context, environment, VENUE))
    context.destroy(linger=0)
