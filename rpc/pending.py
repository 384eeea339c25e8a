"""Commands that the core has not answered yet, and the requests that wait for its answer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from oms.records import CommandKind
from rpc.ledger_rows import LedgerRow
from rpc.messages import Reply
from rpc.sessions import Session


class Waiter(NamedTuple):
    """A client's request that gets the answer."""

    session: Session
    request_id: int


class RecordWaiter(NamedTuple):
    """An order that came as a record: its answer is one too (``rpc.batches``)."""

    session: Session
    request_id: int


class Group:
    """A request for several orders: it is answered when each of them is.

    Attributes
    ----------
    replies : list of Reply or None
        What became of each order, in the order of the request; None: not known yet.
    """

    def __init__(self, waiter: Waiter, size: int) -> None:
        self.waiter = waiter
        self.replies: list[Reply | None] = [None] * size

    @property
    def complete(self) -> bool:
        return all(reply is not None for reply in self.replies)


class Member(NamedTuple):
    """One order's place in a group."""

    group: Group
    place: int

    @property
    def request_id(self) -> int:
        return self.group.waiter.request_id


AnyWaiter: TypeAlias = Waiter | RecordWaiter | Member


class Pending:
    """One command, or several of one kind that share a request id.

    Attributes
    ----------
    request_id : int
        The command's, which the core's answer echoes.
    row : LedgerRow or None
        The order that it is about, when it is about one.
    remaining : int
        Answers that are still to come.
    answered : set of int
        Orders for which an answer has come, where it is about several.
    cancels : int
        Cancels that were sent to the exchange, or of orders that the core held.
    terms : bytes
        How an algorithm is to work the order, as a TERMS record; empty: it says nothing of that.
    state, reason : int
        Of a trading state: what it is now, and why; -1 until the core has said it.
    is_new : bool
        A new order that was never sent before; ``rollbacks`` is the ledger's count when it was written there.
    is_sent : bool
        False when nothing was sent, because an earlier copy of the same order may still have effect.
    """

    def __init__(
        self,
        kind: CommandKind,
        request_id: int,
        row: LedgerRow | None,
        waiters: list[AnyWaiter],
        deadline: float,
    ) -> None:
        self.kind = kind
        self.request_id = request_id
        self.row = row
        self.waiters = waiters
        self.deadline = deadline
        self.expires_ts = 0
        self.remaining = 1
        self.answered: set[int] = set()
        self.cancels = 0
        self.terms = b""
        self.state = self.reason = -1
        self.is_sent = True
        self.is_new = False
        self.rollbacks = 0


class PendingTable:
    """All pending commands, oldest first; each gets the same time.

    Attributes
    ----------
    placing : dict of int to Pending
        New orders without an answer, by order id.
    """

    def __init__(self, answer_timeout_s: float) -> None:
        self.placing: dict[int, Pending] = {}
        self._by_request: dict[int, Pending] = {}
        self._answer_timeout_s = answer_timeout_s
        self._last_request_id = time.time_ns()

    def __len__(self) -> int:
        return len(self._by_request)

    def add(self, kind: CommandKind, row: LedgerRow | None, *waiters: AnyWaiter) -> Pending:
        """A new pending command, with a request id that no earlier server has used."""
        self._last_request_id += 1
        deadline = time.monotonic() + self._answer_timeout_s
        pending = Pending(kind, self._last_request_id, row, list(waiters), deadline)
        self._by_request[pending.request_id] = pending
        if kind == CommandKind.NEW and row is not None:
            self.placing[row.order_id] = pending
        return pending

    def reserve(self, count: int) -> int:
        """The first of ``count`` request ids that nothing else has used, for commands that are kept elsewhere."""
        first = self._last_request_id + 1
        self._last_request_id += count
        return first

    def get(self, request_id: int) -> Pending | None:
        return self._by_request.get(request_id)

    def remove(self, pending: Pending) -> None:
        self._by_request.pop(pending.request_id, None)
        if pending.row is not None and self.placing.get(pending.row.order_id) is pending:
            del self.placing[pending.row.order_id]

    def is_due(self, now: float) -> bool:
        """Whether the time of any is over."""
        return bool(self._by_request) and next(iter(self._by_request.values())).deadline <= now

    def expired(self, now: float) -> Iterator[Pending]:
        """Take out and yield those whose time is over."""
        while self.is_due(now):
            oldest = next(iter(self._by_request.values()))
            self.remove(oldest)
            yield oldest
