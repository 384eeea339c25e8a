"""Reception: takes clients' messages, knows who sends them, and hands each request to its handler.

Whatever arrives is answered or counted: garbage, requests of strangers, requests that are too many.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import numpy as np
import zmq

from oms.bus import has_input
from rpc.batches import (
    ANSWER,
    CODE_NUMBERS,
    MOST_ORDERS,
    BatchKind,
    BatchOutcome,
    Records,
    decode_batch,
    encode_batch,
    is_batch,
)
from rpc.entities import Topic
from rpc.ledger import LedgerError
from rpc.limits import Limits
from rpc.messages import (
    MAX_REQUEST_BYTES,
    UNREADABLE,
    Error,
    MessageError,
    Reply,
    RpcCode,
    Subscribed,
    Welcome,
    decode_request,
)
from rpc.refusals import RefusalError
from rpc.requests import PROTOCOL_VERSION, AnyRequest, Hello, Request, Subscribe, Unsubscribe
from rpc.sessions import Session, Sessions

MESSAGES_A_ROUND: Final = 256

Handler = Callable[[Session, Any], Reply | None]
"""Answers a request, or returns None when the reply will come later; raises ``RefusalError``."""

logger: Final = logging.getLogger("zoms.rpc")


class Reception:
    """The clients' side of the server.

    Attributes
    ----------
    requests, malformed, internal_errors : int
        Messages taken; those that were no requests; requests that failed for a fault of the server.
    """

    def __init__(
        self,
        router: zmq.Socket[Any],
        sessions: Sessions,
        handlers: Mapping[type[AnyRequest], Handler],
        limits: Limits,
        place_batch: Callable[[Session, Records], None],
    ) -> None:
        self.requests = 0
        self.malformed = 0
        self.internal_errors = 0
        self._router = router
        self._sessions = sessions
        self._limits = limits
        self._place_batch = place_batch
        self._started_ts = time.time_ns()
        self._handlers: dict[type[AnyRequest], Handler] = {
            **handlers,
            Subscribe: self._subscribe,
            Unsubscribe: self._unsubscribe,
        }

    def take_messages(self) -> None:
        """Take the messages that have arrived, a bounded number at a time."""
        for _ in range(MESSAGES_A_ROUND):
            if not has_input(self._router):
                return
            try:
                identity, *parts = self._router.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self.requests += 1
            try:
                if len(parts) == 1 and is_batch(parts[0]):
                    self._take_batch(identity, decode_batch(parts[0], BatchKind.ORDERS))
                else:
                    self._take_request(identity, _read(parts))
            except MessageError as error:
                self.malformed += 1
                self._refuse(identity, error.request_id, error.code, str(error))

    def _take_request(self, identity: bytes, request: AnyRequest) -> None:
        session = self._sessions.by_identity.get(identity)
        if isinstance(request, Hello):
            self._greet(identity, request)
        elif session is None:
            message = "this connection is not known, the server may have been restarted: say Hello first"
            self._refuse(identity, request.request_id, RpcCode.HELLO_REQUIRED, message)
        elif self._admit(session, request.request_id):
            reply = self._answer(session, request)
            if reply is not None:
                self._sessions.reply(session, reply)

    def _take_batch(self, identity: bytes, orders: Records) -> None:
        """A batch counts as as many requests as it has orders."""
        count = len(orders)
        if not 0 < count <= MOST_ORDERS:
            raise MessageError(f"the batch has {count} orders: send 1 to {MOST_ORDERS}")
        session = self._sessions.by_identity.get(identity)
        if session is None:
            message = "this connection is not known, the server may have been restarted: say Hello first"
            self._refuse(identity, UNREADABLE, RpcCode.HELLO_REQUIRED, message)
            return
        code = self._refusal_of_batch(session, orders)
        if code is not None:
            answers = np.zeros(count, ANSWER)
            answers["request_id"] = orders["request_id"]
            answers["outcome"] = BatchOutcome.REFUSED
            answers["code"] = CODE_NUMBERS[code]
            answers["seq"] = -1
            self._sessions.reply_bytes(session, encode_batch(BatchKind.ANSWERS, answers), count)

    def _refusal_of_batch(self, session: Session, orders: Records) -> RpcCode | None:
        """Hand a batch on; returns why the whole of it is refused."""
        session.outstanding += len(orders)
        if session.outstanding > 2 * self._limits.outstanding:
            session.outstanding -= len(orders)
            self._sessions.refuse_unnamed(session)
            return None
        if session.outstanding > self._limits.outstanding:
            return RpcCode.TOO_MANY_REQUESTS
        try:
            self._place_batch(session, orders)
        except LedgerError:
            logger.exception("a batch of %s could not be put into the ledger", session.client)
            return RpcCode.LEDGER_FAILED
        except Exception:
            logger.exception("a batch of %s failed", session.client)
            self.internal_errors += 1
            return RpcCode.INTERNAL_ERROR
        return None

    def _answer(self, session: Session, request: AnyRequest) -> Reply | None:
        try:
            return self._handlers[type(request)](session, request)
        except RefusalError as refusal:
            return Error(request_id=request.request_id, code=refusal.code, message=str(refusal), order=refusal.order)
        except LedgerError as error:
            return Error(
                request_id=request.request_id, code=RpcCode.LEDGER_FAILED, message=f"{error}; nothing was sent"
            )
        except Exception as error:
            logger.exception("request %s of %s failed", type(request).__name__, session.client)
            self.internal_errors += 1
            message = f"{type(error).__name__}: {error}; this is a fault of the server, its log has the details"
            return Error(request_id=request.request_id, code=RpcCode.INTERNAL_ERROR, message=message)

    def _greet(self, identity: bytes, request: Hello) -> None:
        session = None
        if request.version != PROTOCOL_VERSION:
            code = RpcCode.VERSION_MISMATCH
            message = (
                f"client speaks protocol version {request.version}, this server {PROTOCOL_VERSION}: use the same zoms"
            )
        else:
            code = RpcCode.TOO_MANY_CLIENTS
            message = f"{self._limits.connections} clients are connected, the most there can be: close some"
            session = self._sessions.open(identity, request.client)
        if session is None:
            self._refuse(identity, request.request_id, code, message)
        elif self._admit(session, request.request_id):
            welcome = Welcome(
                request_id=request.request_id,
                version=PROTOCOL_VERSION,
                server_session=self._started_ts,
                max_outstanding=self._limits.outstanding,
            )
            self._sessions.reply(session, welcome)

    def _refuse(self, identity: bytes, request_id: int, code: str, message: str) -> None:
        """Answer a message that is no request, or comes from an unknown connection."""
        error = Error(request_id=request_id, code=code, message=message)
        session = self._sessions.by_identity.get(identity)
        if session is None:
            self._sessions.reply_to_stranger(identity, error)
        elif self._admit(session, request_id):
            self._sessions.reply(session, error)

    def _admit(self, session: Session, request_id: int) -> bool:
        """Count a request that will be answered; refuse it when too many of this connection wait for theirs."""
        session.outstanding += 1
        if session.outstanding <= self._limits.outstanding:
            return True
        if session.outstanding > 2 * self._limits.outstanding:
            session.outstanding -= 1
            self._sessions.refuse_unnamed(session)
            return False
        message = f"{self._limits.outstanding} requests have no reply yet, the most there can be: wait for some"
        error = Error(request_id=request_id, code=RpcCode.TOO_MANY_REQUESTS, message=message)
        self._sessions.reply(session, error)
        return False

    def _subscribe(self, session: Session, request: Subscribe) -> Reply:
        return self._set_topics(session, request, session.topics | set(request.topics))

    def _unsubscribe(self, session: Session, request: Unsubscribe) -> Reply:
        return self._set_topics(session, request, session.topics - set(request.topics or session.topics))

    def _set_topics(self, session: Session, request: Request, topics: frozenset[str]) -> Reply:
        self._sessions.set_topics(session, topics)
        listed = cast("tuple[Topic, ...]", tuple(sorted(topics)))
        return Subscribed(request_id=request.request_id, topics=listed, next_seq=session.next_seq)


def _read(parts: list[bytes]) -> AnyRequest:
    """The request in a message's parts; raises ``MessageError``."""
    if len(parts) != 1:
        raise MessageError(f"the message has {len(parts)} parts: send a request as one part")
    if len(parts[0]) > MAX_REQUEST_BYTES:
        raise MessageError(
            f"the request has {len(parts[0])} bytes, at most {MAX_REQUEST_BYTES} are taken: send less",
            code=RpcCode.REQUEST_TOO_LARGE,
        )
    return decode_request(parts[0])
