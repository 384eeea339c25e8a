"""Orders in batches, as fixed-width records: the fast way in, beside the messages of ``rpc.messages``.

One message part holds a header of 8 bytes and records: NEW_ORDER from a client, ANSWER from the server, which answers
each order once, in the messages in which it learns of the answers. Prices are in ticks and quantities in lots of the
instrument, whose number, tick and lot ``Client.instruments`` tells.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from oms.record_fields import EventFields
from oms.records import CLIENT_ORDER_ID_BYTES, EventKind, OrderFlag, OrderState, OrderType, Reason, TimeInForce
from rpc.messages import BATCH_MAGIC, Error, MessageError, OrderReply, Reply, RpcCode

Records = npt.NDArray[np.void]

VERSION: Final = 1
MOST_ORDERS: Final = 512
"""In one message."""
FIRST_RPC_CODE: Final = 1000

_HEADER: Final = struct.Struct("<4sBBH")
HEADER_BYTES: Final = _HEADER.size


class BatchKind(IntEnum):
    ORDERS = 1
    ANSWERS = 2


class BatchOutcome(IntEnum):
    ACKNOWLEDGED = 1
    """The core has the order, journalled."""
    REFUSED = 2
    """``code`` says why."""
    UNKNOWN = 3
    """The core has not answered in time: ``Client.place`` with the same ``client_order_id`` finds out, or places it."""


NEW_ORDER = np.dtype(
    [
        ("request_id", "<i8"),  # given by ``OrderStream.place``
        ("px", "<i8"),  # ticks; 0 for a market order
        ("qty", "<i8"),  # lots
        ("expires_ts", "<i8"),  # ns: the server refuses the order when it reads it later than this; 0: never
        ("instrument", "<i2"),
        ("side", "i1"),
        ("order_type", "u1"),
        ("time_in_force", "u1"),
        ("spare", "u1"),
        ("flags", "<u2"),  # OrderFlag
        ("client_order_id", f"S{CLIENT_ORDER_ID_BYTES}"),
        ("spare_2", "<i8", (3,)),
    ]
)
"""An order to be placed, 128 bytes."""

ANSWER = np.dtype(
    [
        ("request_id", "<i8"),
        ("order_id", "<i8"),  # 0: none was given
        ("seq", "<i8"),  # of the core's event; -1: there is none
        ("code", "<u2"),  # a Reason, or FIRST_RPC_CODE + the number of an RpcCode; 0 when it is acknowledged
        ("outcome", "u1"),  # BatchOutcome
        ("state", "u1"),  # OrderState
        ("spare", "<u4"),
    ]
)
"""What became of an order, 32 bytes."""

assert NEW_ORDER.itemsize == 128
assert ANSWER.itemsize == 32

_DTYPES: Final = {int(BatchKind.ORDERS): NEW_ORDER, int(BatchKind.ANSWERS): ANSWER}
CODE_NAMES: Final = {
    **{int(reason): reason.name for reason in Reason},
    **{FIRST_RPC_CODE + number: code.value for number, code in enumerate(RpcCode)},
}
"""Names of the codes in answers; the same as in an Error."""
CODE_NUMBERS: Final = {name: number for number, name in CODE_NAMES.items()}


def encode_batch(kind: BatchKind, records: Records) -> bytes:
    """The message with these records."""
    return _HEADER.pack(BATCH_MAGIC, VERSION, kind, len(records)) + records.tobytes()


def is_batch(payload: bytes) -> bool:
    """Whether a message is one of this file's."""
    return payload.startswith(BATCH_MAGIC)


def decode_batch(payload: bytes, kind: BatchKind) -> Records:
    """The records in a message, as a read-only view.

    Raises
    ------
    MessageError
        When it is of another version or kind, or its length is not what its header says.
    """
    if len(payload) < HEADER_BYTES:
        raise MessageError(f"the batch has {len(payload)} bytes, less than its header of {HEADER_BYTES}: send it whole")
    _, version, said, count = _HEADER.unpack_from(payload)
    if version != VERSION or said != kind:
        raise MessageError(f"the batch has version {version} and kind {said}: {VERSION} and {int(kind)} are taken")
    if len(payload) != HEADER_BYTES + count * _DTYPES[kind].itemsize:
        raise MessageError(f"the batch has {len(payload)} bytes, and its header says {count} records: send it whole")
    return np.frombuffer(payload, _DTYPES[kind], count, HEADER_BYTES)


_ANSWER: Final = struct.Struct("<qqqHBBI")
assert _ANSWER.size == ANSWER.itemsize
_ONE_ANSWER: Final = _HEADER.pack(BATCH_MAGIC, VERSION, BatchKind.ANSWERS, 1)
_REFUSED: Final = int(EventKind.ORDER_REFUSED)
_DUPLICATE: Final = int(Reason.DUPLICATE_ORDER_ID)
_STATES: Final = {state.name.lower(): int(state) for state in OrderState}
_OUTCOMES: Final = {"acknowledged": int(BatchOutcome.ACKNOWLEDGED), "unknown": int(BatchOutcome.UNKNOWN)}
_IS_REFUSED: Final = int(BatchOutcome.REFUSED)
_IS_TAKEN: Final = int(BatchOutcome.ACKNOWLEDGED)


def event_answer(request_id: int, event: EventFields) -> bytes:
    """The message that answers one order as the core has."""
    refused = event.kind == _REFUSED and event.reason != _DUPLICATE
    outcome, code = (_IS_REFUSED, event.reason) if refused else (_IS_TAKEN, 0)
    return _ONE_ANSWER + _ANSWER.pack(request_id, event.order_id, event.seq, code, outcome, event.state, 0)


def reply_answer(reply: Reply) -> bytes:
    """The message that says of one order what a reply to a PlaceOrder says."""
    if isinstance(reply, OrderReply):
        order, code, outcome = reply.order, 0, _OUTCOMES[reply.outcome]
    else:
        assert isinstance(reply, Error)
        order, code, outcome = reply.order, CODE_NUMBERS[reply.code], _IS_REFUSED  # type: ignore[assignment]
    order_id, seq, state = (order.order_id, order.seq, _STATES.get(order.state, 0)) if order else (0, -1, 0)
    return _ONE_ANSWER + _ANSWER.pack(reply.request_id, order_id, seq, code, outcome, state, 0)


def new_orders(client_order_ids: Sequence[str], **fields: npt.ArrayLike) -> Records:
    """NEW_ORDER records: limit orders, good till cancelled, unless ``fields`` say otherwise.

    Parameters
    ----------
    client_order_ids : sequence of str
        One for each order, of visible ASCII, at most 64 bytes.
    **fields
        Fields of NEW_ORDER: one value for all orders, or one for each.
    """
    orders = np.zeros(len(client_order_ids), NEW_ORDER)
    orders["client_order_id"] = client_order_ids
    orders["order_type"] = OrderType.LIMIT
    orders["time_in_force"] = TimeInForce.GTC
    for name, values in fields.items():
        orders[name] = values
    return orders


class NewOrder(NamedTuple):
    """One NEW_ORDER record as plain integers, or the columns of several."""

    request_id: Any
    px: Any
    qty: Any
    expires_ts: Any
    instrument: Any
    side: Any
    order_type: Any
    time_in_force: Any
    spare: Any
    flags: Any
    client_order_id: Any


_NEW_ORDER: Final = struct.Struct(f"<qqqqhbBBBH{CLIENT_ORDER_ID_BYTES}s24x")
assert _NEW_ORDER.size == NEW_ORDER.itemsize
assert NEW_ORDER.names is not None
assert NewOrder._fields == NEW_ORDER.names[:-1]


def the_order(orders: Records) -> NewOrder:
    """The only one of some orders."""
    return NewOrder._make(_NEW_ORDER.unpack(orders.tobytes()))


_EXPIRED: Final = CODE_NUMBERS[RpcCode.REQUEST_EXPIRED]
_MALFORMED: Final = CODE_NUMBERS[RpcCode.MALFORMED_REQUEST]
_OTHER_FLAGS: Final = 0xFFFF ^ int(OrderFlag.POST_ONLY | OrderFlag.REDUCE_ONLY)
_LIMIT: Final = int(OrderType.LIMIT)
_MARKET: Final = int(OrderType.MARKET)
_IS_TIME_IN_FORCE: Final = np.zeros(256, np.bool_)
_IS_TIME_IN_FORCE[[int(TimeInForce.GTC), int(TimeInForce.IOC), int(TimeInForce.FOK)]] = True


_NAME: Final = re.compile(rb"[!-~]+\0*")


def _checks(order: NewOrder, is_name: Any, is_known: Any, now: int) -> tuple[tuple[int, Any], ...]:
    """Codes of refusals, each with whether the order passes; of columns, whether each order does."""
    is_limit = order.order_type == _LIMIT
    is_market = order.order_type == _MARKET
    return (
        (_EXPIRED, (order.expires_ts == 0) | (order.expires_ts >= now)),
        (_MALFORMED, is_name),
        (Reason.UNKNOWN_INSTRUMENT, is_known),
        (Reason.BAD_SIDE, abs(order.side) == 1),
        (Reason.BAD_ORDER_TYPE, is_limit | is_market),
        (Reason.BAD_TIME_IN_FORCE, _IS_TIME_IN_FORCE[order.time_in_force]),
        (Reason.BAD_FLAGS, order.flags & _OTHER_FLAGS == 0),
        (Reason.BAD_PRICE, is_limit & (order.px > 0) | is_market & (order.px == 0)),
        (Reason.QTY_BELOW_MIN, order.qty > 0),
    )


def code_of(order: NewOrder, instruments: Collection[int], now: int) -> int:
    """Why an order cannot be passed on to the core as it is; 0 when it can."""
    is_name = _NAME.fullmatch(order.client_order_id) is not None
    checks = _checks(order, is_name, order.instrument in instruments, now)
    return next((code for code, passes in checks if not passes), 0)


def codes_of(orders: Records, instruments: Collection[int], now: int) -> npt.NDArray[np.uint16]:
    """``code_of`` of each order."""
    letters = orders["client_order_id"].copy().view(np.uint8).reshape(len(orders), CLIENT_ORDER_ID_BYTES)
    ends = letters == 0
    is_name = ((letters >= 0x21) & (letters <= 0x7E)) | ends
    is_name[:, 1:] &= ends[:, :-1] <= ends[:, 1:]  # no letter behind an end
    columns = NewOrder(*(orders[name] for name in NewOrder._fields))
    is_instrument = np.zeros(2**16, np.bool_)  # from its end on for negative numbers
    is_instrument[list(instruments)] = True
    is_known = is_instrument[orders["instrument"]]
    codes = np.zeros(len(orders), np.uint16)
    for code, passes in _checks(columns, is_name.all(axis=1) & ~ends[:, 0], is_known, now):
        codes[(codes == 0) & ~passes] = code
    return codes
