"""Messages between a client and the rpc server: MessagePack maps with a ``type``, over one DEALER-ROUTER pair.

A client opens with ``Hello`` and its protocol version. Every request carries a ``request_id`` of the client's own, and
its reply echoes it. Prices and quantities are plain decimal text and stay exact; times are ns since the epoch.

A request with an unknown field is refused: an order must not lose an instruction on its way. A client, in turn, passes
over fields of a reply that it does not know, so a newer server may add some.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final, Generic, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from rpc.entities import (
    AlgorithmInfo,
    AnyEvent,
    EventBody,
    Fill,
    InstrumentInfo,
    Order,
    Outcome,
    Position,
    Process,
    Progress,
    Standing,
    Topic,
    tag_of,
)
from rpc.request_errors import plain_text
from rpc.requests import AnyRequest

BATCH_MAGIC: Final = b"zomB"
"""What messages of fixed-width records begin with (``rpc.batches``); no MessagePack map does."""

MAX_REQUEST_BYTES: Final = 64 * 1024

UNREADABLE: Final = -1
"""``request_id`` of an Error whose request could not be read that far."""


class RpcCode(StrEnum):
    """Codes of an Error that are the server's own; every other code is the name of an ``oms.records.Reason``."""

    MALFORMED_REQUEST = "MALFORMED_REQUEST"
    REQUEST_TOO_LARGE = "REQUEST_TOO_LARGE"
    VERSION_MISMATCH = "VERSION_MISMATCH"
    HELLO_REQUIRED = "HELLO_REQUIRED"
    """The server does not know this connection (it may have been restarted): say Hello, then ask again."""
    TOO_MANY_CLIENTS = "TOO_MANY_CLIENTS"
    TOO_MANY_REQUESTS = "TOO_MANY_REQUESTS"
    REQUEST_EXPIRED = "REQUEST_EXPIRED"
    """The request reached the server after its ``expires_ts``; it had no effect."""
    CORE_UNAVAILABLE = "CORE_UNAVAILABLE"
    """The core does not run or does not listen; nothing was sent and nothing waits to be sent."""
    DUPLICATE_CLIENT_ORDER_ID = "DUPLICATE_CLIENT_ORDER_ID"
    LEDGER_FAILED = "LEDGER_FAILED"
    """The order id could not be put on disk; nothing was sent."""
    INTERNAL_ERROR = "INTERNAL_ERROR"


Body = TypeVar("Body")


# Replies, and what the server sends unasked


class Reply(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=tag_of):
    """Base of all replies."""

    request_id: int


class Error(Reply, frozen=True):
    """The request was refused: it names the thing, its value and the remedy."""

    code: str
    """An RpcCode, or the name of an ``oms.records.Reason``."""
    message: str
    order: Order | None = None
    """The order that was refused, where there is one."""


class Welcome(Reply, frozen=True):
    """The answer to Hello."""

    version: int
    server_session: int
    """ns at which this server was started: another one means that subscriptions are gone."""
    max_outstanding: int
    """Requests that a connection may have unanswered."""


class Pong(Reply, frozen=True):
    """The answer to Ping; ``ts`` is the server's wall clock."""

    ts: int


class OrderReply(Reply, frozen=True):
    """The order as it stands. With outcome ``unknown`` the core has not answered in time: ask again, or send the same
    request again, which is safe."""

    outcome: Outcome
    order: Order


class GroupReply(Reply, frozen=True):
    """The orders of a bracket or of an OCO group as they stand, in the order of the request."""

    outcome: Outcome
    orders: tuple[Order, ...]


class CancelAllReply(Reply, frozen=True):
    """How many cancels were sent to the exchange."""

    outcome: Outcome
    cancels: int


class TradingStateReply(Reply, frozen=True):
    outcome: Outcome
    state: str
    reason: str


class KillReply(Reply, frozen=True):
    """The accounts are halted; their cancels, and the orders that close their positions, follow."""

    outcome: Outcome


class Orders(Reply, frozen=True):
    orders: tuple[Order, ...]
    cursor: int | None
    """For the next page; None: this was the last."""


class Fills(Reply, frozen=True):
    fills: tuple[Fill, ...]
    more: bool
    """There are further ones: ask again after the last of these."""


class Algorithms(Reply, frozen=True):
    algorithms: tuple[AlgorithmInfo, ...]


class ProgressReply(Reply, frozen=True):
    progress: tuple[Progress, ...]
    cursor: int | None
    """For the next page; None: this was the last."""


class Positions(Reply, frozen=True):
    positions: tuple[Position, ...]


class Standings(Reply, frozen=True):
    standings: tuple[Standing, ...]
    """Accounts first."""


class Status(Reply, frozen=True):
    trading_state: str
    """Of the session's own account; ``unknown`` until the core has said it."""
    trading_reason: str
    core_available: bool
    core_session: int
    next_seq: int
    """Sequence number of the core's next event."""
    complete: bool
    """False: events were lost that the journal could not give back; orders shown may be out of date."""
    processes: tuple[Process, ...]


class Instruments(Reply, frozen=True):
    instruments: tuple[InstrumentInfo, ...]


class Subscribed(Reply, frozen=True):
    topics: tuple[Topic, ...]
    """All topics of this connection now."""
    next_seq: int
    """Sequence number of its next event."""


class Push(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=tag_of):
    """Base of what the server sends unasked."""


class Events(Push, Generic[Body], frozen=True):
    """Events of one connection; ``seq`` numbers the first of them, and the numbers have no gap unless some are lost."""

    seq: int
    events: tuple[Body, ...]


class EventsLost(Push, frozen=True):
    """``count`` events from ``seq`` on were dropped, because the client reads too slowly or was not connected."""

    seq: int
    count: int
    """-1: not known, the connection was lost."""
    message: str = "events were lost: read orders, positions and fills anew"


class Alive(Push, frozen=True):
    """Sent to a quiet connection; ``next_seq`` shows whether the last events have arrived."""

    next_seq: int


AnyReply: TypeAlias = (
    Error
    | Welcome
    | Pong
    | OrderReply
    | GroupReply
    | CancelAllReply
    | TradingStateReply
    | KillReply
    | Orders
    | Fills
    | Algorithms
    | ProgressReply
    | Positions
    | Standings
    | Status
    | Instruments
    | Subscribed
)
AnyPush: TypeAlias = Events[AnyEvent] | EventsLost | Alive


class MessageError(ValueError):
    """A message that cannot be read; ``request_id`` is its id where that much could be read."""

    def __init__(self, message: str, request_id: int = UNREADABLE, code: RpcCode = RpcCode.MALFORMED_REQUEST) -> None:
        super().__init__(message)
        self.request_id = request_id
        self.code = code


class _OnlyId(msgspec.Struct):
    request_id: Annotated[int, Meta(ge=0, le=2**63 - 1)] = UNREADABLE


_UNREADABLE_ERRORS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_encoder = msgspec.msgpack.Encoder()
_request_decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(AnyRequest)
_server_decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(AnyReply | AnyPush)
_id_decoder = msgspec.msgpack.Decoder(_OnlyId)


def encode(message: AnyRequest | Reply | Push | EventBody) -> bytes:
    """The bytes of a message, or of an event's body."""
    return _encoder.encode(message)


def decode_request(payload: bytes) -> AnyRequest:
    """The request in ``payload``.

    Raises
    ------
    MessageError
        When it is not one; never anything else, whatever the bytes are.
    """
    try:
        request: AnyRequest = _request_decoder.decode(payload)
    except _UNREADABLE_ERRORS as error:
        raise MessageError(f"the request cannot be read: {plain_text(error)}", _request_id_in(payload)) from None
    return request


def decode_from_server(payload: bytes) -> AnyReply | AnyPush:
    """The reply or push in ``payload``; raises ``MessageError`` when it is neither."""
    try:
        message: AnyReply | AnyPush = _server_decoder.decode(payload)
    except _UNREADABLE_ERRORS as error:
        raise MessageError(f"the server's message cannot be read: {error}", _request_id_in(payload)) from None
    return message


def _request_id_in(payload: bytes) -> int:
    try:
        return _id_decoder.decode(payload).request_id
    except _UNREADABLE_ERRORS:
        return UNREADABLE
