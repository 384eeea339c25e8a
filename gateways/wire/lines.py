"""Lines of a recorded stream: when a message was received, and its text.

``EPOCH: MESSAGE`` (s with decimals, as cryptofeed writes them) or ``TIMESTAMP MESSAGE`` (ns). A frame that was
compressed stands as a Python bytes literal and is decompressed. ``URL <-> EPOCH`` is a new connection; what the client
sent, and REST answers, are passed over.
"""

from __future__ import annotations

import ast
import re
import warnings
import zlib
from typing import Final, NamedTuple

from gateways.wire.messages import WireError
from oms.records import Reason

GZIP_OR_ZLIB: Final = 47
MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024

RECEIVED: Final = re.compile(rb"(?:([0-9]{19}) |([0-9]{10})(?:\.([0-9]{1,9}))?: )(\S.*)", re.DOTALL)
CONNECTED: Final = re.compile(rb"\S+ <-> [0-9.]+\s*")
OTHER: Final = re.compile(rb"\S+ (<-|->) [0-9.]+: .*|configuration: .*", re.DOTALL)


class Received(NamedTuple):
    """A message and when it was received, ns."""

    local_ts: int
    message: bytes


def read_line(line: bytes) -> Received | None:
    """A received message; None for a new connection.

    Raises
    ------
    WireError
        For any other line: NONE where it is one of the client's or an answer, else MALFORMED.
    """
    match = RECEIVED.fullmatch(line)
    if match is None:
        if CONNECTED.fullmatch(line):
            return None
        if OTHER.fullmatch(line):
            raise WireError(Reason.NONE, "it was sent by the client, or is an answer to it")
        raise WireError(Reason.MALFORMED, f"{line[:60]!r} is not 'EPOCH: MESSAGE' or 'TIMESTAMP MESSAGE'")
    ns, seconds, decimals, message = match.groups()
    local_ts = int(ns) if ns else int(seconds) * 10**9 + int((decimals or b"0").ljust(9, b"0"))
    try:
        text = _inflated(message.decode()) if message.startswith((b"b'", b'b"')) else message
    except (UnicodeDecodeError, ValueError, SyntaxError, MemoryError, RecursionError, zlib.error) as error:
        raise WireError(Reason.MALFORMED, f"its frame cannot be read: {error}"[:200]) from None
    return Received(local_ts, text)


def _inflated(literal: str) -> bytes:
    """The text of a compressed frame that is written as a bytes literal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes that are none, in damaged text
        frame = ast.literal_eval(literal.strip())
    if not isinstance(frame, bytes):
        raise ValueError("it is no bytes literal")
    return inflated(frame)


def inflated(frame: bytes) -> bytes:
    """What is in a gzip or zlib frame.

    Raises
    ------
    ValueError, zlib.error
        For anything else, and for more than ``MAX_MESSAGE_BYTES``.
    """
    inflater = zlib.decompressobj(GZIP_OR_ZLIB)
    text = inflater.decompress(frame, MAX_MESSAGE_BYTES)
    if not inflater.eof:
        raise ValueError(f"it is cut off, or longer than {MAX_MESSAGE_BYTES} bytes")
    return text
