"""Rate limits of a venue, kept by whoever asks: the most urgent first, cancels before everything else.

A limit is counted over a window that slides, longer than the venue's by what a request may take on its way: then no
window of the venue's, wherever it begins, holds more than the limit. What others use of it (another process behind
the same address) is learnt from the answers' headers.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from enum import IntEnum
from typing import Final, NamedTuple

from gateways.orders.clock import Clock

MARGIN_S: Final = 1.0
"""How much longer than the venue's a window is counted: the way there may take so long."""

DEFAULT_PAUSE_S: Final = 1.0
"""After a refusal that names no time."""


class Priority(IntEnum):
    """Who goes first."""

    CANCEL = 0
    KEEP = 1
    """What keeps the session safe: the dead man's switch, the private stream's key."""
    ASK = 2
    """A query about an outcome that is not known."""
    ORDER = 3
    RECONCILE = 4


RESERVED: Final = {
    Priority.CANCEL: 0.0,
    Priority.KEEP: 0.1,
    Priority.ASK: 0.1,
    Priority.ORDER: 0.2,
    Priority.RECONCILE: 0.2,
}
"""Part of a limit with a reserve that is kept from each: the last tenth is for cancels alone, the one before it
also for what keeps the session safe."""


class Limit(NamedTuple):
    """So much in a time; ``header`` is that in which the venue tells what is used, in lower case."""

    name: str
    most: int
    seconds: float
    header: str
    has_reserve: bool = False
    """Whether parts of it are kept for what is more urgent: ``RESERVED``."""


Cost = Mapping[str, int]
"""What a request takes of each limit, by its name."""


class RateError(RuntimeError):
    """A request waited for its turn as long as it may, and was not sent."""


class _Waiter(NamedTuple):
    cost: Cost
    turn: asyncio.Future[None]


class _Used:
    """What has been used of one limit."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self._taken: deque[tuple[float, int]] = deque()
        self.total = 0

    def forget(self, now_s: float) -> None:
        """Let what is older than the window go."""
        while self._taken and self._taken[0][0] + self.limit.seconds + MARGIN_S <= now_s:
            self.total -= self._taken.popleft()[1]

    def take(self, now_s: float, amount: int) -> None:
        if amount > 0:
            self._taken.append((now_s, amount))
            self.total += amount

    def free_at(self, now_s: float, amount: int, priority: Priority) -> float:
        """When so much may be taken; a request that is larger than the limit goes alone."""
        self.forget(now_s)
        most = self.limit.most
        if self.limit.has_reserve:
            most -= int(most * RESERVED[priority])
        over = self.total + amount - most
        free_s = now_s
        for taken_s, taken in self._taken:
            if over <= 0:
                break
            over -= taken
            free_s = taken_s + self.limit.seconds + MARGIN_S
        return free_s


class Limiter:
    """Lets requests go when the venue's limits allow it.

    Parameters
    ----------
    limits
        Of the venue.
    clock
        Which time it is.

    Attributes
    ----------
    granted, refused : int
        Requests that had their turn, and those that did not get it in time.
    paused_until_s : float
        Monotonic seconds; nothing goes before.
    """

    def __init__(self, limits: tuple[Limit, ...], clock: Clock) -> None:
        self._clock = clock
        self._used = {limit.name: _Used(limit) for limit in limits}
        self._waiting: dict[Priority, deque[_Waiter]] = {priority: deque() for priority in Priority}
        self._timer: asyncio.Task[None] | None = None
        self.granted = 0
        self.refused = 0
        self.paused_until_s = 0.0

    @property
    def pause_s(self) -> float:
        """How long nothing goes yet."""
        return max(self.paused_until_s - self._clock.now_s(), 0.0)

    def now_s(self) -> float:
        """The time by which it counts."""
        return self._clock.now_s()

    def share(self, cost: Cost) -> float:
        """How much a request takes of its limits: the parts of each, added up."""
        return sum(amount / self._used[name].limit.most for name, amount in cost.items())

    def used(self, name: str) -> int:
        """What is used of a limit now."""
        used = self._used[name]
        used.forget(self._clock.now_s())
        return used.total

    async def turn(self, cost: Cost, priority: Priority, patience_s: float | None = None) -> None:
        """Wait until a request may go, and count it.

        Raises
        ------
        RateError
            When that would be in more than ``patience_s``, or has not come by then; None: it waits as long as it takes.
        """
        waiter = _Waiter(cost, asyncio.get_running_loop().create_future())
        queue = self._waiting[priority]
        queue.append(waiter)
        self._grant()
        if waiter.turn.done() or patience_s is None:
            await waiter.turn
            return
        given_up = asyncio.ensure_future(self._clock.sleep(patience_s))
        try:
            await asyncio.wait((waiter.turn, given_up), return_when=asyncio.FIRST_COMPLETED)
        finally:
            given_up.cancel()
            if not waiter.turn.done():
                queue.remove(waiter)
                waiter.turn.cancel()
        if waiter.turn.cancelled():
            self.refused += 1
            described = self._described(cost)
            self._grant()
            raise RateError(f"no turn within {patience_s} s: {described}")
        await waiter.turn  # raises what has ended it

    def pause(self, seconds: float) -> None:
        """Let nothing go for so long; a pause that is longer already stays."""
        self.paused_until_s = max(self.paused_until_s, self._clock.now_s() + seconds)

    def observe(self, status: int, headers: Mapping[str, str]) -> None:
        """Learn from an answer: what is used, and whether to pause (429 and 418)."""
        told = {name.lower(): value for name, value in headers.items()}
        now_s = self._clock.now_s()
        for used in self._used.values():
            text = told.get(used.limit.header, "")
            if text.isascii() and text.isdigit():
                used.forget(now_s)
                used.take(now_s, int(text) - used.total)
        if status in (418, 429):
            text = told.get("retry-after", "")
            self.pause(float(text) if text.isascii() and text.isdigit() else DEFAULT_PAUSE_S)

    def close(self) -> None:
        """Send nothing more: whoever waits is refused."""
        if self._timer is not None:
            self._timer.cancel()
        for priority in Priority:
            self.turn_away(priority, "the gateway ends")

    def turn_away(self, priority: Priority, why: str) -> None:
        """Refuse whoever waits with a priority."""
        queue = self._waiting[priority]
        while queue:
            turn = queue.popleft().turn
            if not turn.done():
                turn.set_exception(RateError(why))

    def _described(self, cost: Cost) -> str:
        return ", ".join(f"{name} {self._used[name].total} of {self._used[name].limit.most}" for name in cost)

    def _free_at(self, cost: Cost, priority: Priority, now_s: float) -> float:
        times = [self._used[name].free_at(now_s, amount, priority) for name, amount in cost.items() if amount]
        return max([now_s, self.paused_until_s, *times])

    def _grant(self) -> None:
        """Give every turn that is due: in the order of priority, and of arrival in each.

        One that has to wait holds back those behind it that want of the same limits, so that none overtakes it.
        """
        now_s = self._clock.now_s()
        next_s = float("inf")
        held: set[str] = set()
        for priority, queue in self._waiting.items():
            while queue:
                cost, turn = queue[0]
                wanted = {name for name, amount in cost.items() if amount}
                free_s = self._free_at(cost, priority, now_s)
                if free_s > now_s or wanted & held:
                    held |= wanted
                    next_s = min(next_s, free_s) if free_s > now_s else next_s
                    break
                queue.popleft()
                for name, amount in cost.items():
                    self._used[name].take(now_s, amount)
                self.granted += 1
                turn.set_result(None)
        if next_s < float("inf"):
            self._wake_in(next_s - now_s)

    def _wake_in(self, seconds: float) -> None:
        if self._timer is not None and self._timer is not asyncio.current_task():
            self._timer.cancel()
        self._timer = asyncio.ensure_future(self._wake(seconds))

    async def _wake(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._grant()
