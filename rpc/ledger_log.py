"""The ledger's log: new order ids on their way into the database, each batch written as one.

A database's pages are no place to put fifty thousand ids a second: each would touch pages of its own. They go to a log
first, one after the other, and from there into the database in large steps. What a log holds when the process dies is
taken over at the next start; what a loss of power takes from it is in the core's journal (``rpc.journalled_names``).
"""

from __future__ import annotations

import os
import re
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt

from oms.records import CLIENT_ORDER_ID_BYTES, COMMAND

COMMAND_BYTES: Final = COMMAND.itemsize
NAME_BYTES: Final = CLIENT_ORDER_ID_BYTES
_KEY: Final = b"%b%020d%011d%-64b"
KEY_BYTES: Final = 96
ROW_BYTES: Final = KEY_BYTES + COMMAND_BYTES
"""A row: ``+`` (added) or ``-`` (forgotten), order id, client index, the client's own id, the command. The numbers are
decimal text, so that SQL can read them."""

_INT64_DIGITS: Final = 19

_BLOCK: Final = struct.Struct("<4sIII")
_MAGIC: Final = b"zomL"
_NAME: Final = re.compile(r"ledger\.([0-9]{6})\.log")


class LoggedRow(NamedTuple):
    """One row of a log; ``is_added`` False: the id was taken back."""

    is_added: bool
    order_id: int
    client_index: int
    client_order_id: str
    command: bytes


def encode_row(
    order_id: int, client_index: int, client_order_id: str, command: bytes, *, is_added: bool = True
) -> bytes:
    """A row's bytes, ``ROW_BYTES`` of them."""
    return (_KEY % (b"+" if is_added else b"-", order_id, client_index, client_order_id.encode())) + command.ljust(
        COMMAND_BYTES, b"\0"
    )


def decimal_columns(numbers: npt.NDArray[np.int64], digits: int) -> npt.NDArray[np.uint8]:
    """Numbers from 0 on as decimal text of so many digits: one row of bytes for each."""
    powers = 10 ** np.arange(min(digits, _INT64_DIGITS) - 1, -1, -1, dtype=np.int64)
    text = np.full((len(numbers), digits), ord("0"), np.uint8)
    text[:, digits - len(powers) :] += (numbers[:, None] // powers % 10).astype(np.uint8)
    return text


def encode_rows(first_id: int, client_index: int, client_order_ids: Sequence[str], commands: bytes) -> list[bytes]:
    """``encode_row`` of orders with consecutive ids that are added; ``commands`` has one COMMAND record for each.

    The names are ASCII.
    """
    count = len(client_order_ids)
    rows = np.empty((count, ROW_BYTES), np.uint8)
    rows[:, 0] = ord("+")
    rows[:, 1:21] = decimal_columns(np.arange(first_id, first_id + count), 20)
    rows[:, 21:32] = decimal_columns(np.array([client_index]), 11)
    names = np.array(client_order_ids, f"S{NAME_BYTES}").view(np.uint8).reshape(count, NAME_BYTES)
    rows[:, 32:KEY_BYTES] = np.where(names == 0, ord(" "), names)
    rows[:, KEY_BYTES:] = np.frombuffer(commands, np.uint8).reshape(count, COMMAND_BYTES)
    content = rows.tobytes()
    return [content[at : at + ROW_BYTES] for at in range(0, len(content), ROW_BYTES)]


def decode_row(row: bytes) -> LoggedRow:
    """The row in ``ROW_BYTES`` bytes."""
    return LoggedRow(
        row[:1] == b"+",
        int(row[1:21]),
        int(row[21:32]),
        row[32:KEY_BYTES].rstrip(b" ").decode(),
        row[KEY_BYTES:],
    )


class LedgerLog:
    """One log file that this process writes.

    Parameters
    ----------
    folder : Path
    number : int
        Of the file; it must not exist.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self.path = folder / f"ledger.{number:06d}.log"
        self._size = self._synced = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(self.path, flags, 0o640)

    def commit(self, rows: list[bytes]) -> None:
        """Write rows as one block.

        Raises
        ------
        OSError
            When the disk refuses; nothing of the block counts then.
        """
        body = b"".join(rows)
        pending = memoryview(_BLOCK.pack(_MAGIC, len(rows), crc32(body), 0) + body)
        size = len(pending)
        try:
            while pending:
                pending = pending[os.write(self._descriptor, pending) :]
        except OSError:
            os.ftruncate(self._descriptor, self._size)
            raise
        self._size += size

    def sync_soon(self) -> None:
        """Have the disk take what was written, in a thread of its own; where it refuses, the next step's move tells."""
        if self._synced < self._size:
            self._synced = self._size
            threading.Thread(target=_sync, args=(os.dup(self._descriptor),), name="ledger sync", daemon=True).start()

    def close(self) -> None:
        os.close(self._descriptor)


def logs(folder: Path) -> list[tuple[int, Path]]:
    """The log files of a folder and their numbers, oldest first."""
    found = ((_NAME.fullmatch(path.name), path) for path in folder.iterdir())
    return sorted((int(match[1]), path) for match, path in found if match)


def read_log(path: Path) -> Iterator[bytes]:
    """The rows of a log file, up to a block that is not whole: one that was never committed."""
    content = path.read_bytes()
    at = 0
    while at + _BLOCK.size <= len(content):
        magic, count, checksum, _ = _BLOCK.unpack_from(content, at)
        body = content[at + _BLOCK.size : at + _BLOCK.size + count * ROW_BYTES]
        if magic != _MAGIC or len(body) != count * ROW_BYTES or crc32(body) != checksum:
            return
        for start in range(0, len(body), ROW_BYTES):
            yield body[start : start + ROW_BYTES]
        at += _BLOCK.size + len(body)


def _sync(descriptor: int) -> None:
    with suppress(OSError):
        os.fdatasync(descriptor)
    os.close(descriptor)
