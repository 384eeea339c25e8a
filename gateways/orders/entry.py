"""Whether new orders and amends may leave, and what stands against it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateways.orders.known import Known
from gateways.orders.limiter import Limiter, Priority
from oms.records import Reason


class Entry:
    """The door for new orders and amends: shut until the account is reconciled, and again when anything is in doubt.

    Parameters
    ----------
    known
        Tells the core whenever it is opened or shut.
    limiter
        Turns away what waits for its turn when it is shut.
    log
        Takes a line about why.
    may_trade
        Without it the door is never opened.

    Attributes
    ----------
    is_open : bool
    is_reconciled : bool
        Whether nothing stands against it but that this session is to trade nothing.
    is_halted, is_ending : bool
        Whether it stays shut for good: somebody must see to it, or the session ends.
    why_not : str
        What stands against it.
    refusals : int
        How often it was shut.
    opened : asyncio.Event
        Set while it is open.
    """

    def __init__(self, known: Known, limiter: Limiter, log: Callable[[str], None], *, may_trade: bool) -> None:
        self.may_trade = may_trade
        self.is_open = False
        self.is_reconciled = False
        self.is_halted = False
        self.is_ending = False
        self.why_not = "not reconciled yet"
        self.refusals = 0
        self.opened = asyncio.Event()
        self._known = known
        self._limiter = limiter
        self._log = log
        self._told: Reason | None = None

    @property
    def reason(self) -> Reason:
        """Why no new order leaves; ``NONE`` when it does."""
        for stands, reason in (
            (self.is_open, Reason.NONE),
            (self.is_ending, Reason.SESSION_ENDS),
            (self.is_halted, Reason.KEYS_REFUSED),
            (not self.may_trade, Reason.READ_ONLY),
        ):
            if stands:
                return reason
        return Reason.NOT_RECONCILED

    def admit(self, refusals: int) -> bool:
        """The account is reconciled: open, unless it is shut for good; whether that holds.

        It does not where the door was shut since there were so many ``refusals``: what was read may be older than what
        it was shut for.
        """
        if self.refusals != refusals:
            return False
        if self.is_halted or self.is_ending or self.is_reconciled:
            return True
        self.is_reconciled = True
        self.is_open = self.may_trade
        self.why_not = "" if self.is_open else "read-only"
        if self.is_open:
            self.opened.set()
        self.tell()
        self._log(f"reconciled: {self.why_not or 'trading'}")
        return True

    def refuse(self, why: str) -> None:
        """Shut until the next reconciliation goes well."""
        if self.is_reconciled or why != self.why_not:
            self._log(f"not trading: {why}")
        self.refusals += 1
        self.is_open = self.is_reconciled = False
        self.why_not = why
        self._limiter.turn_away(Priority.ORDER, why)
        self.opened.clear()
        self.tell()

    def halt(self, why: str) -> None:
        """Shut until somebody has seen to it."""
        self.is_halted = True
        self.refuse(why)

    def end(self) -> None:
        """Shut for good, for the session ends."""
        self.is_ending = True
        self.refuse("the session ends")

    def tell(self) -> None:
        """Tell the core whether new orders may leave, where it has not been told so."""
        if self.reason is not self._told:
            self._told = self.reason
            self._known.tell_order_entry(self.reason)
