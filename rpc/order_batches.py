"""Order entry in batches: many orders on their way to the core and back as arrays, not one by one."""

from __future__ import annotations

import time
from collections import deque
from typing import Final

import numpy as np
import numpy.typing as npt

from oms.config import Settings
from oms.definitions import Definitions
from oms.records import COMMAND, ORDER_EVENTS, CommandKind, EventKind, Reason
from rpc.batches import ANSWER, CODE_NUMBERS, BatchKind, BatchOutcome, Records, codes_of, encode_batch
from rpc.core_link import CoreLink
from rpc.ledger import Ledger
from rpc.limits import Limits
from rpc.messages import RpcCode
from rpc.own_orders import OwnOrders
from rpc.pending import PendingTable
from rpc.sessions import Session, Sessions

_REFUSED: Final = int(EventKind.ORDER_REFUSED)
_DUPLICATE: Final = int(Reason.DUPLICATE_ORDER_ID)
_UNAVAILABLE: Final = CODE_NUMBERS[RpcCode.CORE_UNAVAILABLE]
_LEDGER_FAILED: Final = CODE_NUMBERS[RpcCode.LEDGER_FAILED]
_TAKEN: Final = CODE_NUMBERS[RpcCode.DUPLICATE_CLIENT_ORDER_ID]
_ORDER_KINDS: Final = np.zeros(256, bool)
_ORDER_KINDS[[int(kind) for kind in ORDER_EVENTS]] = True
_COPIED: Final = ("px", "qty", "instrument", "side", "order_type", "time_in_force", "flags")


class Batch:
    """Orders that were sent together; the core's request ids, and the order ids, are consecutive."""

    def __init__(self, session: Session, orders: Records, commands: Records, first: int, rollbacks: int) -> None:
        self.session = session
        self.request_ids: npt.NDArray[np.int64] = orders["request_id"].copy()
        self.expires_ts: npt.NDArray[np.int64] = orders["expires_ts"].copy()
        self.client_order_ids: npt.NDArray[np.bytes_] = orders["client_order_id"].copy()
        self.commands = commands
        self.first = first
        self.first_order_id = int(commands["order_id"][0])
        self.rollbacks = rollbacks
        self.waits = np.ones(len(orders), bool)
        self.deadline = 0.0
        self.void_at = 0.0

    def __len__(self) -> int:
        return len(self.request_ids)

    def has(self, order_id: int) -> bool:
        return 0 <= order_id - self.first_order_id < len(self)

    @property
    def order_ids(self) -> list[int]:
        """Of the orders that have no answer yet."""
        found: list[int] = self.commands["order_id"][self.waits].tolist()
        return found


class OrderBatches:
    """Takes batches of orders, sends their commands, and answers as the core does.

    Attributes
    ----------
    unanswered : int
        Orders that the core did not answer in time.
    """

    def __init__(
        self,
        settings: Settings,
        definitions: Definitions,
        ledger: Ledger,
        link: CoreLink,
        sessions: Sessions,
        limits: Limits,
        pending: PendingTable,
        own_orders: OwnOrders,
    ) -> None:
        self.unanswered = 0
        self._instruments = [instrument.id for instrument in settings.instruments]
        self._definitions = definitions
        self._ledger = ledger
        self._link = link
        self._sessions = sessions
        self._limits = limits
        self._pending = pending
        self._own_orders = own_orders
        self._outgoing: list[Batch] = []
        self._waiting: deque[Batch] = deque()
        self._sent: deque[Batch] = deque()

    def place(self, session: Session, orders: Records) -> None:
        """Take orders; those that cannot go to the core are answered at once.

        Raises
        ------
        LedgerError
            When the disk refuses; nothing was sent.
        """
        codes = codes_of(orders, self._instruments, time.time_ns())
        if self._link.problem:
            codes[codes == 0] = _UNAVAILABLE
        index = self._ledger.add_client(session.client)
        good = orders.compress(codes == 0)  # by an index, records are copied field by field
        names = [name.decode() for name in good["client_order_id"].tolist()]
        known = self._ledger.known_names(index, names) if names else set()
        if known or len(set(names)) < len(names):
            good = self._answer_known(session, index, good, names, known)
            names = [name.decode() for name in good["client_order_id"].tolist()]
        if codes.any():
            self._refuse(session, orders["request_id"][codes != 0], codes[codes != 0])
        if not len(good):
            return
        commands = self._commands(index, good)
        self._ledger.add_orders(index, names, int(commands["order_id"][0]), commands.tobytes())
        batch = Batch(session, good, commands, self._pending.reserve(len(good)), self._ledger.rollbacks)
        self._outgoing.append(batch)

    def _commands(self, index: int, orders: Records) -> Records:
        commands = np.zeros(len(orders), COMMAND)
        first_id = self._ledger.new_order_ids(index, len(orders))
        commands["order_id"] = np.arange(first_id, first_id + len(orders))
        commands["kind"] = CommandKind.NEW
        commands["strategy"] = -1
        commands["account"] = 0  # the session's own
        commands["source"] = index
        for name in _COPIED:
            commands[name] = orders[name]
        for number in np.unique(orders["instrument"]).tolist():
            in_force = self._definitions.in_force(number)
            commands["version"][orders["instrument"] == number] = in_force.version if in_force else 0
        return commands

    def _answer_known(
        self, session: Session, index: int, orders: Records, names: list[str], known: set[str]
    ) -> Records:
        """Answer those whose ids have been given before as their orders stand; returns the others."""
        is_new = np.ones(len(orders), bool)
        seen: set[str] = set()
        answers: list[Records] = []
        for number, name in enumerate(names):
            if name not in known and name not in seen:
                seen.add(name)
                continue
            is_new[number] = False
            answers.append(self._known_answer(index, orders[number : number + 1], name))
        if answers:
            self._send_answers(session, np.concatenate(answers))
        rest: Records = orders[is_new]
        return rest

    def _known_answer(self, index: int, order: Records, name: str) -> Records:
        answer = _answers(order["request_id"], BatchOutcome.REFUSED, _TAKEN)
        row = self._ledger.find(index, name)
        if row is None:
            return answer  # twice in this batch: the first one stands
        command = np.frombuffer(row.command, COMMAND)
        answer["order_id"] = row.order_id
        if any(command[field][0] != order[field][0] for field in _COPIED):
            return answer
        state, reason = self._own_orders.standing(row)
        refused = state >= 0 and reason != 0
        answer["outcome"] = BatchOutcome.REFUSED if refused else BatchOutcome.ACKNOWLEDGED
        answer["code"] = reason if refused else 0
        answer["state"] = max(state, 0)
        if state < 0:
            answer["outcome"] = BatchOutcome.UNKNOWN
        return answer

    # Commands out

    def send(self) -> None:
        """Send what was taken since the last call; the ledger has been committed, or has failed to be."""
        outgoing, self._outgoing = self._outgoing, []
        for batch in outgoing:
            if batch.rollbacks != self._ledger.rollbacks:
                self._refuse(batch.session, batch.request_ids, np.full(len(batch), _LEDGER_FAILED, np.uint16))
            elif self._link.send_records(batch.commands, batch.first, batch.expires_ts, batch.client_order_ids):
                now = time.monotonic()
                batch.deadline = now + self._limits.answer_timeout_s
                batch.void_at = now + self._limits.command_life_s
                self._waiting.append(batch)
                self._sent.append(batch)
            else:
                self._refuse(batch.session, batch.request_ids, np.full(len(batch), _UNAVAILABLE, np.uint16))
                self._ledger.forget_orders(batch.order_ids)

    # Answers in

    def settle(self, events: Records) -> None:
        """Take the core's events: the first one of an order is the answer."""
        if not self._waiting:
            return
        request_ids = events["request_id"]
        waiting = self._waiting
        mine = (request_ids >= waiting[0].first) & (request_ids < waiting[-1].first + len(waiting[-1]))
        mine &= _ORDER_KINDS[events["kind"]]
        if not mine.any():
            return
        events = events.compress(mine)
        request_ids = request_ids[mine]
        low, high = int(request_ids.min()), int(request_ids.max())
        for batch in list(waiting):
            if batch.first > high:
                break
            if batch.first + len(batch) > low:
                self._settle(batch, events, request_ids - batch.first)
        while waiting and not waiting[0].waits.any():
            waiting.popleft()

    def _settle(self, batch: Batch, events: Records, numbers: npt.NDArray[np.int64]) -> None:
        inside = np.flatnonzero((numbers >= 0) & (numbers < len(batch)))[::-1]
        first = np.full(len(batch), -1)
        first[numbers[inside]] = inside  # of an order's events the last one written here is its first
        (numbers,) = np.nonzero(batch.waits & (first >= 0))
        if not len(numbers):
            return
        rows = events.take(first[numbers])
        batch.waits[numbers] = False
        refused = (rows["kind"] == _REFUSED) & (rows["reason"] != _DUPLICATE)
        answers = _answers(batch.request_ids[numbers], BatchOutcome.ACKNOWLEDGED, 0)
        answers["order_id"] = rows["order_id"]
        answers["seq"] = rows["seq"]
        answers["state"] = rows["state"]
        answers["outcome"][refused] = BatchOutcome.REFUSED
        answers["code"][refused] = rows["reason"][refused]
        self._send_answers(batch.session, answers)

    def is_due(self, now: float) -> bool:
        """Whether the time of any is over."""
        return bool(self._waiting) and self._waiting[0].deadline <= now

    def expire(self, now: float) -> None:
        """Answer what the core did not: the outcome is unknown."""
        while self.is_due(now):
            batch = self._waiting.popleft()
            answers = _answers(batch.request_ids[batch.waits], BatchOutcome.UNKNOWN, 0)
            answers["order_id"] = batch.commands["order_id"][batch.waits]
            self.unanswered += len(answers)
            if len(answers):
                self._send_answers(batch.session, answers)
        while self._sent and self._sent[0].void_at <= now:
            self._sent.popleft()

    def may_yet_be_taken(self, order_id: int) -> bool:
        """Whether the core may still act on a command that was sent for an order."""
        return any(batch.has(order_id) for batch in (*self._sent, *self._outgoing))

    def waiting_ids(self) -> list[int]:
        """Ids of the orders that the core has not answered."""
        return [order_id for batch in (*self._waiting, *self._outgoing) for order_id in batch.order_ids]

    def __len__(self) -> int:
        return len(self._waiting) + len(self._outgoing)

    def _refuse(self, session: Session, request_ids: npt.NDArray[np.int64], codes: npt.NDArray[np.uint16]) -> None:
        self._send_answers(session, _answers(request_ids, BatchOutcome.REFUSED, codes))

    def _send_answers(self, session: Session, answers: Records) -> None:
        self._sessions.reply_bytes(session, encode_batch(BatchKind.ANSWERS, answers), len(answers))


def _answers(request_ids: npt.ArrayLike, outcome: BatchOutcome, codes: npt.ArrayLike) -> Records:
    ids = np.asarray(request_ids, np.int64)
    answers = np.zeros(len(ids), ANSWER)
    answers["request_id"] = ids
    answers["outcome"] = outcome
    answers["code"] = codes
    answers["seq"] = -1
    return answers
