"""What clients called their orders, as the journal has it: what a loss of power took from the ledger comes back.

The ledger's log is not synced order by order. The core journals each new order's name before its command, and with
``journal.sync`` ``"batch"`` or ``"always"`` nothing has effect before both are on disk: an order that the ledger has
lost is found there, or never was.
"""

from __future__ import annotations

from typing import Final

from oms.journal_format import Direction, Entry
from oms.records import ORDER_ID_COUNTER_BITS, CommandKind, RecordKind
from rpc.ledger import Ledger
from rpc.ledger_log import encode_row

OF_THE_WAY: Final = ("seq", "ts", "request_id", "wall_ts", "reason")
"""Fields of a COMMAND that are written when it is sent and taken: no part of what the client asked for."""


class JournalledNames:
    """Takes new orders and their names from the journal's entries, and gives them to the ledger.

    Attributes
    ----------
    restored : int
        Orders that the ledger did not have.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.restored = 0
        self._ledger = ledger
        self._names: dict[int, str] = {}
        self._rows: list[bytes] = []

    def take(self, entry: Entry) -> None:
        """Take one entry of the journal, whatever it is."""
        if entry.kind == RecordKind.ORDER_NAME:
            names = (name.decode() for name in entry.records["client_order_id"].tolist())
            self._names.update(zip(entry.records["order_id"].tolist(), names, strict=True))
        elif self._names and entry.kind == RecordKind.COMMAND and entry.direction == Direction.INPUT:
            self._take_commands(entry)

    def _take_commands(self, entry: Entry) -> None:
        commands = entry.records[entry.records["kind"] == CommandKind.NEW]
        asked = commands.copy()
        for field in OF_THE_WAY:
            asked[field] = 0
        for number, order_id in enumerate(commands["order_id"].tolist()):
            name = self._names.pop(order_id, None)
            index = order_id >> ORDER_ID_COUNTER_BITS
            if name is not None and self._ledger.client_name(index) is not None:
                self._rows.append(encode_row(order_id, index, name, asked[number].tobytes()))

    def give(self) -> None:
        """Give the ledger what was taken since the last call; raises ``LedgerError`` when it cannot be written."""
        if self._rows:
            self.restored += self._ledger.restore(self._rows)
            self._rows.clear()
