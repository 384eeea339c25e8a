"""Bounds of the rpc server: nothing that a client does, or leaves undone, makes it grow or wait without end."""

from __future__ import annotations

from typing import Final, NamedTuple

MAX_TRANSPORT_BYTES: Final = 128 * 1024
"""A larger message part ends its connection inside ZeroMQ; one above ``MAX_REQUEST_BYTES`` is answered by an Error."""
MAX_QUEUED_REQUESTS: Final = 1_000
"""Messages that ZeroMQ takes from one connection ahead of the server."""


class Limits(NamedTuple):
    answer_timeout_s: float = 2.0
    """The core's time to answer a command before its outcome is called unknown."""
    command_life_s: float = 5.0
    """After this the core does not act on a command any more."""
    connections: int = 256
    outstanding: int = 5_000
    """Requests of one connection whose replies it has not taken."""
    queued_events: int = 4_096
    """Events that wait for one connection; more are dropped, and it is told how many."""
    batch_events: int = 64
    """Most events in one message."""
    send_hwm: int = 256
    """Messages that ZeroMQ holds for one connection."""
    closed_orders: int = 100_000
    fills: int = 100_000
    alive_s: float = 5.0
    """A connection that was sent nothing for this long is sent an Alive; one that has vanished is then forgotten."""


DEFAULT_LIMITS: Final = Limits()
