"""The way to the core: commands are sent only while it surely listens, and are void a few seconds later.

An order must not pop out minutes after it was asked for. So nothing is queued for a core that is not connected
(ZMQ_IMMEDIATE, no waiting), nothing is sent to one whose heartbeat is old, and every command carries the time after
which the core refuses it.
"""

from __future__ import annotations

import time
from struct import Struct
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import zmq
from msgspec.structs import replace

from oms.bus import Sender, new_socket, takes_output
from oms.lifecycle import Heartbeat
from oms.record_fields import CommandFields, command_bytes
from oms.records import (
    CLIENT_ORDER_ID_BYTES,
    COMMAND,
    ORDER_ID_COUNTER_BITS,
    ORDER_NAME,
    RecordKind,
    Source,
)

Records = npt.NDArray[np.void]

CORE: Final = "core"
TAKES_NONE: Final = "the core takes no commands now"
RECONNECT_MS: Final = 20

_NUMBER: Final = Struct("<q")
_ORDER_NAME: Final = Struct(f"<qq{CLIENT_ORDER_ID_BYTES}s")
_OFFSETS: Final = {name: int(field[1]) for name, field in (COMMAND.fields or {}).items()}
_SEQ: Final = _OFFSETS["seq"]
_TS: Final = _OFFSETS["ts"]
_REQUEST_ID: Final = _OFFSETS["request_id"]
_EXPIRE_TS: Final = _OFFSETS["wall_ts"]
_LISTENING: Final = frozenset({"ready", "done"})


class Sent(NamedTuple):
    """One command on its way.

    Attributes
    ----------
    request_id : int
    command : bytes
    expires_ts : int
        Wall clock, ns, after which its requester has no use for it; 0: never.
    name : bytes
        What its client calls the new order that it places, as an ORDER_NAME record; empty: it places none.
    terms : bytes
        How an algorithm is to work the order that it is about, as a TERMS record; empty: it says nothing of that.
    """

    request_id: int
    command: bytes
    expires_ts: int
    name: bytes = b""
    terms: bytes = b""


def order_name(order_id: int, client_order_id: str) -> bytes:
    """The bytes of an ORDER_NAME record."""
    return _ORDER_NAME.pack(order_id, 0, client_order_id.encode())


def addressed(command: CommandFields, order_id: int) -> bytes:
    """The COMMAND record's bytes of a command about ``order_id``, from its owner."""
    return command_bytes(replace(command, order_id=order_id, source=order_id >> ORDER_ID_COUNTER_BITS))


class CoreLink:
    """Sends commands to the core, and knows from its heartbeats whether it listens.

    Parameters
    ----------
    stale_after_s : float
        Age of the last heartbeat from which on the core counts as gone.
    command_life_s : float
        How long the core may act on a command.
    """

    def __init__(
        self, context: zmq.Context[zmq.Socket[Any]], endpoint: str, stale_after_s: float, command_life_s: float
    ) -> None:
        socket = new_socket(context, zmq.PUSH)
        socket.setsockopt(zmq.IMMEDIATE, 1)
        socket.setsockopt(zmq.SNDTIMEO, 0)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        socket.connect(endpoint)
        self._sender = Sender(socket, RecordKind.COMMAND, Source.RPC)
        self._names = Sender(socket, RecordKind.ORDER_NAME, Source.RPC)
        self._terms = Sender(socket, RecordKind.TERMS, Source.RPC)
        self._stale_after_s = stale_after_s
        self._command_life_ns = int(command_life_s * 1e9)
        self._heartbeat: Heartbeat | None = None
        self.sent = 0

    def hear(self, heartbeat: Heartbeat) -> bool:
        """Take a heartbeat; True when it is the first one of another core process that listens."""
        if heartbeat.process != CORE:
            return False
        before = self._heartbeat
        self._heartbeat = heartbeat
        was_listening = before is not None and before.state in _LISTENING
        is_other = before is None or (before.pid, before.started_ts) != (heartbeat.pid, heartbeat.started_ts)
        return heartbeat.state in _LISTENING and (is_other or not was_listening)

    @property
    def problem(self) -> str:
        """Why nothing can be sent to the core now; empty when it listens."""
        heartbeat = self._heartbeat
        if heartbeat is None:
            return "the core has not been heard of since this server started"
        age_s = (time.time_ns() - heartbeat.ts) / 1e9
        if age_s > self._stale_after_s:
            return f"the core has not been heard of for {age_s:.1f} s"
        if heartbeat.state not in _LISTENING:
            return f"the core is {heartbeat.state}"
        if not takes_output(self._sender.socket):
            return TAKES_NONE
        return ""

    def send(self, commands: list[Sent]) -> bool:
        """Send commands in one frame; False when the core is not connected or takes no more, and nothing was sent."""
        now = time.time_ns()
        latest = now + self._command_life_ns
        buffer = bytearray().join(each.command for each in commands)
        for number, (request_id, _, expires_ts, _, _) in enumerate(commands):
            start = number * COMMAND.itemsize
            _NUMBER.pack_into(buffer, start + _SEQ, self._sender.seq + number)
            _NUMBER.pack_into(buffer, start + _TS, now)
            _NUMBER.pack_into(buffer, start + _REQUEST_ID, request_id)
            _NUMBER.pack_into(buffer, start + _EXPIRE_TS, min(expires_ts or latest, latest))
        names = b"".join(each.name for each in commands)
        return self._send(names, bytes(buffer), b"".join(each.terms for each in commands))

    def _send(self, names: bytes, commands: bytes, terms: bytes = b"") -> bool:
        """Send new orders' names, algorithms' terms and the commands as one message: the core gets all or nothing."""
        try:
            self._names.send_bytes(names, more=True)
            self._terms.send_bytes(terms, more=True)
            self._sender.send_bytes(commands)
        except zmq.Again:
            return False
        self.sent += len(commands) // COMMAND.itemsize
        return True

    def send_records(
        self, commands: Records, first: int, expires_ts: npt.NDArray[np.int64], client_order_ids: npt.NDArray[np.bytes_]
    ) -> bool:
        """Send an array of commands in one frame, as ``send`` does; its times and request ids are written here.

        Parameters
        ----------
        commands : array of COMMAND
            All of them place new orders.
        first : int
            Request id of the first; the others follow.
        expires_ts : array of int64
            As in ``Sent``.
        client_order_ids : array of bytes
            What their client calls the orders that they place.
        """
        now = time.time_ns()
        latest = now + self._command_life_ns
        commands["seq"] = np.arange(self._sender.seq, self._sender.seq + len(commands))
        commands["ts"] = now
        commands["request_id"] = np.arange(first, first + len(commands))
        commands["wall_ts"] = np.where(expires_ts > 0, np.minimum(expires_ts, latest), latest)
        names = np.zeros(len(commands), ORDER_NAME)
        names["order_id"] = commands["order_id"]
        names["client_order_id"] = client_order_ids
        return self._send(names.tobytes(), commands.tobytes())

    def close(self) -> None:
        self._sender.close()
