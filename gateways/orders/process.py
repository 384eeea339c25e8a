"""The process of an order gateway: COMMAND frames from the core in, REPORT frames to it out.

It begins with what the core knows, as its snapshot and journal say, and it begins so anew when the core has died and
another one has taken its place, or when commands were lost on their way: reports may then have been lost too, and
requests may be in the journal that never came here. Nothing is lost by beginning anew, and nothing is told twice that
the core has booked: it knows each trade and each payment by its id.

The keys come from the environment or the system's keyring (``gateways.credentials``), and go nowhere but into ccxt. The
settings' ``[live]`` may name a sandbox on this machine that stands for the exchange.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
import time
from collections.abc import Callable, Collection, Mapping
from itertools import count
from pathlib import Path
from typing import Any, Final, Protocol

import ccxt
import zmq

from gateways.abilities import caveats
from gateways.account_claim import Claim
from gateways.credentials import CredentialsError, read_credentials, refused_text
from gateways.orders.asking import RETRY_S
from gateways.orders.clock import Clock
from gateways.orders.gateway import OrderGateway, orders_without_core
from gateways.orders.ids import ids_of
from gateways.orders.known import Known
from gateways.orders.lateness import Lateness
from gateways.orders.outcomes import NO_ANSWER, OTHER_ANSWER, told_text
from gateways.orders.past import Audit, newest_session, read_past
from gateways.orders.venue import Venue, VenueType
from gateways.sandbox.pointing import pointed_session
from gateways.venues import Role, implementation, venue_among
from oms.bus import Puller, Pusher, Records, has_input
from oms.config import ConfigError, SandboxSettings, Settings
from oms.lifecycle import Lifecycle
from oms.records import RecordKind, Source

AUDIT_S: Final = 15.0
"""Between two looks into the core's journal for orders that have never come here."""
QUIET_S: Final = 0.1
"""Without a command for so long, none is on its way any more: the core sends none once it knows that none may leave."""
END_S: Final = 15.0
"""How long the end of a session may take to cancel what is open."""
Say = Callable[[str], None]


class Life(Protocol):
    """What a process needs of its ``Lifecycle``."""

    @property
    def stopping(self) -> bool:
        """Whether to end."""

    @property
    def core_ended(self) -> bool:
        """Whether to end only because the core has, so that another process follows this one."""

    def beat(self, counters: Mapping[str, float], state: str = "") -> bool:
        """Send a heartbeat when it is due."""


class ReportSender:
    """Sends the reports of one turn of the loop in one frame.

    Parameters
    ----------
    pusher
        Of REPORT frames.
    """

    def __init__(self, pusher: Pusher) -> None:
        self._pusher = pusher
        self._waiting: list[bytes] = []
        self.reports = 0

    def add(self, report: Records) -> None:
        """Take a report; it leaves before anything else comes in."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self.flush)
        self._waiting.append(report.tobytes())
        self.reports += len(report)

    def flush(self) -> None:
        """Send what waits."""
        self._pusher.send_bytes(b"".join(self._waiting))
        self._waiting.clear()


def run(settings: Settings, life: Lifecycle, context: zmq.Context[Any], venue: str = "") -> int:
    """The process of one venue; see ``oms.process``.

    Parameters
    ----------
    venue
        Whose instruments; empty: the only one that the live instruments have, or where none is live, all of them.

    Raises
    ------
    CredentialsError
        When there are no keys.
    ClaimError
        When another session on this machine trades the account.
    ConfigError
        When no instrument of the settings is of this venue, or several venues are meant, or a sandbox's certificate
        cannot be read.
    """
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serve(settings, life, context, os.environ, venue))


async def serve(
    settings: Settings,
    life: Life,
    context: zmq.Context[Any],
    environment: Mapping[str, str],
    venue_name: str = "",
    clock: Clock | None = None,
    audit_s: float = AUDIT_S,
) -> int:
    """Trade until told to stop; raises as ``run``."""
    clock = clock or Clock()
    row = venue_among(settings.venues, Role.ORDERS, venue_name)
    venue_type: VenueType = implementation(row.name, Role.ORDERS)
    instruments = tuple(each for each in settings.traded_instruments if each.venue == row.name)
    credentials = read_credentials(row.name, environment)
    log = _log_of(row.name)
    firm = settings.firm
    sandbox = settings.live.sandbox.get(row.name)
    claim = Claim(row.wallet, credentials.key, sandbox.port if sandbox else 0) if firm.trade else None
    puller = Puller(context, settings.orders_endpoint(row.name))
    source = settings.source(Source.EXECUTION, row.name)
    pusher = Pusher(context, settings.core_endpoint, RecordKind.REPORT, source)
    sender = ReportSender(pusher)
    account = settings.account_number("")
    ids = ids_of(settings.account, are_integers=row.has_integer_ids, are_short=row.has_short_ids)
    wallets = {wallet.currency: number for number, wallet in enumerate(settings.wallets) if wallet.venue == row.name}
    session = _sandbox_session(sandbox, row.hosts)
    exchange = venue_type.new_exchange(credentials, session)
    venue: Venue = venue_type(exchange, instruments, clock)

    try:
        life.beat({}, "recovering")
        await _opened(venue, life, clock, log, lambda text: refused_text(row.name, credentials.key, text, environment))
        for line in caveats(exchange, row) if row.market else ():
            log(line)
        while not life.stopping:
            core = newest_session(settings.journal_dir)
            audit = Audit(settings.journal_dir, core, account, instruments)
            audit.asked()  # what it finds from now on may be missing in the past that is read behind it
            past = read_past(settings.snapshot_dir, settings.journal_dir, account, row.name, ids, instruments)
            known = Known(account, ids, instruments, wallets, sender.add, clock.time_ns)
            known.begin(past.positions, past.cash, past.booked, past.payments)
            gateway = OrderGateway(
                venue,
                exchange,
                known,
                clock,
                log,
                reconcile_s=firm.reconcile_s,
                switch_s=firm.dead_man_s,
                may_trade=firm.trade,
                since_ts=past.ts,
            )
            for left in past.left:
                gateway.recover(*left)
            gateway.start()
            try:
                log(await _trade(gateway, puller, sender, life, settings, core, audit, audit_s))
            finally:
                await gateway.close()
            if not life.stopping:
                life.beat({}, "recovering")
    finally:
        await venue.close()
        if session is not None:
            await session.close()
        puller.close()
        pusher.close()
        if claim is not None:
            claim.release()
    return 0


async def _opened(venue: Venue, life: Life, clock: Clock, log: Say, refused: Callable[[str], str]) -> None:
    """Open a venue, however often it does not answer; raises ``ValueError`` where its contracts are not ours, or it
    refuses the keys, which ``refused`` words."""
    for attempt in count():
        try:
            await venue.open()
            return
        except ccxt.AuthenticationError as error:
            raise CredentialsError(refused(told_text(error))) from error
        except (*NO_ANSWER, *OTHER_ANSWER) as error:
            if life.stopping:
                return
            log(f"{told_text(error)}: asking again")
        life.beat({}, "recovering")
        await clock.sleep(RETRY_S[min(attempt, len(RETRY_S) - 1)])


async def _keep_auditing(gateway: OrderGateway, audit: Audit, audit_s: float) -> None:
    """Look into the core's journal now and then for orders that have never come here.

    An order that the journal has is on its way, and has come by the time of the next look.
    """
    while True:
        await asyncio.sleep(audit_s)
        asked = await asyncio.to_thread(audit.asked)
        await asyncio.sleep(audit_s)
        gateway.commands.look_for(asked)


async def _trade(
    gateway: OrderGateway,
    puller: Puller,
    sender: ReportSender,
    life: Life,
    settings: Settings,
    core: int,
    audit: Audit,
    audit_s: float,
) -> str:
    """Work what the bus brings until told to stop, or until it is to begin anew; returns why it has ended."""
    firm = settings.firm
    lateness = Lateness(firm.max_command_age_s)
    life.beat(gateway.counters(), "ready")
    auditing = asyncio.ensure_future(_keep_auditing(gateway, audit, audit_s))
    try:
        while not life.stopping:
            lost = _take(puller, gateway, lateness)
            if auditing.done():
                auditing.result()
            if lost or gateway.commands.is_behind:
                return "commands were lost on the bus: beginning anew with what the journal says"
            gateway.asking.refusals.look()
            is_due = life.beat({**gateway.counters(), "reports": float(sender.reports)})
            if is_due and newest_session(settings.journal_dir) != core:
                return "there is another core: beginning anew with what it knows"
            await _readable(puller, settings.heartbeat_s / 2)
    finally:
        auditing.cancel()
    until = orders_without_core(firm.orders_at_end) if life.core_ended else firm.orders_at_end
    ending = asyncio.ensure_future(gateway.end(until, within_s=END_S))
    quiet_s, heard_s = min(QUIET_S, END_S), time.monotonic()
    while not ending.done() or time.monotonic() - heard_s < quiet_s:
        if has_input(puller.socket):
            heard_s = time.monotonic()
        _take(puller, gateway, lateness)
        life.beat(gateway.counters())
        await _readable(puller, min(settings.heartbeat_s / 2, QUIET_S))
    sender.flush()
    await ending
    left = len(gateway.left_open(firm.orders_at_end))
    life.beat({**gateway.counters(), "left_open": float(left)}, "stopping")
    return f"the core has ended, {left} orders may be open" if life.core_ended else "stopping"


def _take(puller: Puller, gateway: OrderGateway, lateness: Lateness) -> int:
    """Work every command that has arrived; returns how many records were lost before them.

    New orders and amends that have come too late do not leave: the market has gone on.
    """
    lost = 0
    while has_input(puller.socket):
        frame = puller.receive()
        if frame is None:
            break
        lost += frame.lost
        if frame.header.kind == RecordKind.COMMAND:
            gateway.take(frame.records, is_late=lateness.is_late(frame.header.sent_ts))
    lateness.look()
    return lost


async def _readable(puller: Puller, seconds: float) -> None:
    """Wait for a frame, at most so long."""
    if has_input(puller.socket):
        await asyncio.sleep(0)
        return
    loop = asyncio.get_running_loop()
    woken = asyncio.Event()
    descriptor = int(puller.socket.getsockopt(zmq.FD))
    loop.add_reader(descriptor, woken.set)
    try:
        async with asyncio.timeout(seconds):
            await woken.wait()
    except TimeoutError:
        pass
    finally:
        loop.remove_reader(descriptor)


def _sandbox_session(sandbox: SandboxSettings | None, hosts: Collection[str]) -> Any:
    """A session that leads to a sandbox on this machine; None: there is none, and the exchange is the real one."""
    if sandbox is None:
        return None
    try:
        return pointed_session(sandbox.port, Path(sandbox.ca), hosts)
    except (OSError, ssl.SSLError, UnicodeDecodeError) as error:
        raise ConfigError(f"sandbox ca {sandbox.ca!r} is no certificate: {error}") from None


def _log_of(name: str) -> Say:
    def say(line: str) -> None:
        sys.stderr.write(f"{name}: {line}\n")
        sys.stderr.flush()

    return say
