"""Dispatch: commands to the core in batches, and what became of them back to whoever waits.

The ledger is committed before a batch leaves. A command without an answer in time has an unknown outcome, never a
refusal.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from oms.record_fields import EventFields
from oms.records import CommandKind
from rpc.batches import event_answer, reply_answer
from rpc.core_link import TAKES_NONE, CoreLink, Sent, order_name
from rpc.ledger import Ledger, LedgerError
from rpc.ledger_rows import LedgerRow
from rpc.limits import Limits
from rpc.messages import Error, Reply, RpcCode
from rpc.order_batches import OrderBatches
from rpc.pending import AnyWaiter, Group, Pending, PendingTable, RecordWaiter, Waiter
from rpc.refusals import RefusalError
from rpc.sessions import Sessions


class Dispatch:
    """Commands on their way.

    Parameters
    ----------
    batches : callable
        Makes the batches of orders, which travel beside the commands of this table.
    catch_up : callable
        Reads the journal into the replica; False when events are missing for good.
    unknown : callable
        The reply to a request whose command was not answered.

    Attributes
    ----------
    pending : PendingTable
    end_group : callable
        Called with a group once each of its orders has a reply.
    unanswered, failed_writes : int
        Commands that the core did not answer in time, and failed writes to the ledger that did no harm.
    """

    def __init__(
        self,
        ledger: Ledger,
        link: CoreLink,
        sessions: Sessions,
        limits: Limits,
        batches: Callable[[PendingTable], OrderBatches],
        *,
        catch_up: Callable[[], bool],
        unknown: Callable[[Pending, int], Reply],
    ) -> None:
        self.pending = PendingTable(limits.answer_timeout_s)
        self.batches = batches(self.pending)
        self.unanswered = 0
        self.failed_writes = 0
        self.catch_up = catch_up
        self.end_group: Callable[[Group], None] = lambda group: None
        self._ledger = ledger
        self._link = link
        self._sessions = sessions
        self._limits = limits
        self._unknown = unknown
        self._outgoing: list[tuple[Pending, bytes]] = []
        self._void_at: dict[int, float] = {}

    @property
    def problem(self) -> str:
        """Why nothing can be sent to the core now; empty when it listens."""
        return self._link.problem

    def refuse_unless_listening(self) -> None:
        """Raise ``RefusalError`` when nothing can be sent to the core now."""
        problem = self._link.problem
        if problem:
            raise RefusalError(RpcCode.CORE_UNAVAILABLE, _unavailable(problem))

    def send(
        self,
        kind: CommandKind,
        row: LedgerRow | None,
        commands: list[bytes],
        *waiters: AnyWaiter,
        expires_ts: int = 0,
        terms: bytes = b"",
    ) -> Pending:
        """Queue commands that share one answer for ``send_commands``; ``terms`` go ahead of them."""
        pending = self.pending.add(kind, row, *waiters)
        pending.terms = terms
        pending.expires_ts = expires_ts
        pending.remaining = len(commands)
        self._outgoing += [(pending, command) for command in commands]
        return pending

    def may_be_taken(self, order_id: int) -> bool:
        """Whether an earlier copy of a new order may still have effect."""
        return time.monotonic() < self._void_at.get(order_id, 0.0) or self.batches.may_yet_be_taken(order_id)

    def is_answered(self, order_id: int) -> None:
        """Note that the core has answered a new order: no copy of it is under way any more."""
        self._void_at.pop(order_id, None)

    def send_commands(self) -> None:
        """Commit the ledger and send what was asked for since the last call, in one frame."""
        outgoing, self._outgoing = self._outgoing, []
        try:
            self._ledger.commit()
        except LedgerError:
            self.failed_writes += 1
        self.batches.send()
        undone = [pending for pending, _ in outgoing if pending.is_new and pending.rollbacks != self._ledger.rollbacks]
        for pending in undone:
            self.refuse(pending, RpcCode.LEDGER_FAILED, "the order id could not be put on disk; nothing was sent")
        outgoing = [(pending, command) for pending, command in outgoing if pending not in undone]
        if not outgoing:
            return
        if self._link.send([_sent(pending, command) for pending, command in outgoing]):
            void_at = time.monotonic() + self._limits.command_life_s
            for pending, _ in outgoing:
                if pending.kind == CommandKind.NEW and pending.row is not None:
                    self._void_at.pop(pending.row.order_id, None)
                    self._void_at[pending.row.order_id] = void_at
            return
        for pending in {id(pending): pending for pending, _ in outgoing}.values():
            if pending.kind == CommandKind.NEW and not pending.is_new:
                self._give_up(pending)  # an earlier copy may have had effect
            else:
                self.refuse(pending, RpcCode.CORE_UNAVAILABLE, _unavailable(TAKES_NONE))
        self._forget([pending.row.order_id for pending, _ in outgoing if pending.is_new and pending.row is not None])

    def _forget(self, order_ids: list[int]) -> None:
        """Free the ids of orders that were never sent; where that fails, sending them again still gives an answer."""
        try:
            self._ledger.forget_orders(order_ids)
            self._ledger.commit()
        except LedgerError:
            self.failed_writes += 1

    def expire(self) -> None:
        """Answer what the core did not: the outcome is unknown."""
        now = time.monotonic()
        if self.pending.is_due(now) or self.batches.is_due(now):
            self.catch_up()  # what the core did is in its journal, even if its events were lost on the way
        for pending in self.pending.expired(now):
            self._give_up(pending)
        self.batches.expire(now)
        while self._void_at and next(iter(self._void_at.values())) <= now:
            del self._void_at[next(iter(self._void_at))]

    def _give_up(self, pending: Pending) -> None:
        self.unanswered += 1
        self.finish(pending, lambda request_id: self._unknown(pending, request_id))

    def refuse(self, pending: Pending, code: str, message: str) -> None:
        """End a command with an error."""
        self.finish(pending, lambda request_id: Error(request_id=request_id, code=code, message=message))

    def finish(self, pending: Pending, make: Callable[[int], Reply], event: EventFields | None = None) -> None:
        """End a command: whoever waits for it gets the reply that ``make`` makes for a request id.

        Where ``event`` alone is the answer, an order that came as a record gets that.
        """
        self.pending.remove(pending)
        for waiter in pending.waiters:
            if event is not None and isinstance(waiter, RecordWaiter):
                self._sessions.reply_bytes(waiter.session, event_answer(waiter.request_id, event), 1)
            else:
                self.answer(waiter, make(waiter.request_id))

    def answer(self, waiter: AnyWaiter, reply: Reply) -> None:
        """Reply to a request, or put the reply in its place in a group."""
        if isinstance(waiter, Waiter):
            self._sessions.reply(waiter.session, reply)
            return
        if isinstance(waiter, RecordWaiter):
            self._sessions.reply_bytes(waiter.session, reply_answer(reply), 1)
            return
        waiter.group.replies[waiter.place] = reply
        if waiter.group.complete:
            self.end_group(waiter.group)


def _sent(pending: Pending, command: bytes) -> Sent:
    is_order = pending.kind == CommandKind.NEW and pending.row is not None
    name = order_name(pending.row.order_id, pending.row.client_order_id) if is_order and pending.row else b""
    return Sent(pending.request_id, command, pending.expires_ts, name, pending.terms)


def _unavailable(problem: str) -> str:
    return f"{problem}; nothing was sent and nothing will be sent later: see zoms status, and send again once it runs"
