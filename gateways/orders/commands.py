"""Which order a command from the core is about, and what is answered where it is none of those that are known."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from gateways.orders.known import Known, Order
from oms.records import CommandKind, Reason, ReportKind


class Commands:
    """Finds the orders that commands are about.

    Attributes
    ----------
    is_behind : bool
        The core has an order that was never heard of here: a command has been lost, and the journal has it.
    """

    def __init__(self, known: Known) -> None:
        self._known = known
        self.is_behind = False

    def is_ours(self, command: np.void) -> bool:
        """Whether its account and instrument are traded here."""
        known = self._known
        return bool(command["account"] == known.account and int(command["instrument"]) in known.instruments)

    def found(self, command: np.void) -> Order | None:
        """The order that a command is about; None: it is over, or it was never heard of."""
        return self._known.orders.get(int(command["order_id"]))

    def answer_unknown(self, command: np.void, kind: ReportKind) -> None:
        """Answer a command about an order that is over. Of one that was never heard of a command has been lost: what
        there is to answer is answered once the journal has been read."""
        if self._known.is_known(int(command["order_id"])) or not self.is_ours(command):
            self._known.refuse_unknown(command, kind, Reason.UNKNOWN_ORDER)
        else:
            self.is_behind = True

    def turn_away(self, command: np.void) -> None:
        """Answer a command that has come too late to be sent."""
        reason = Reason.COMMAND_TOO_LATE
        if command["kind"] == CommandKind.NEW:
            if not self._known.is_known(int(command["order_id"])):
                self._known.refuse_unknown(command, ReportKind.REJECTED, reason)
        else:
            self._known.refuse_unknown(command, ReportKind.AMEND_REJECTED, reason)

    def look_for(self, asked: Iterable[int]) -> None:
        """Compare with orders that the core has asked for, by their ids."""
        self.is_behind = self.is_behind or not all(map(self._known.is_known, asked))
