"""What goes wrong, from a seed: one table of faults with their rates, and a generator that is counted, not stepped.

Each kind of fault has its own stream of numbers, and the n-th decision of a kind depends on the seed, the kind and n
alone. So a seed replays, and turning one kind off moves no other.

Source of the generator: Steele, Lea and Flood (2014), *Fast splittable pseudorandom number generators*, the finaliser
of SplitMix64.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from enum import Enum
from hashlib import blake2b
from typing import Final

_MASK: Final = 2**64 - 1
_GOLDEN: Final = 0x9E3779B97F4A7C15


class Fault(Enum):
    """A kind of fault: its value is the name by which it is asked for."""

    # answers to requests
    DELAY = "delay"
    """The answer comes late; what was asked for has been done in time."""
    LOSE_REQUEST = "lose_request"
    """The connection breaks before anything is done."""
    LOSE_ANSWER = "lose_answer"
    """It is done, and the connection breaks before the answer."""
    UNKNOWN = "unknown"
    """It is done, and the answer is that this is not known."""
    BUSY = "busy"
    """Nothing is done: the service is unavailable for the moment."""
    HTML = "html"
    """Nothing is done: what lies in front of the exchange answers with a page."""
    RATE_LIMIT = "rate_limit"
    """Nothing is done: too many requests."""
    BAN = "ban"
    """Nothing is done: banned for going on after that."""
    MAINTENANCE = "maintenance"
    """Nothing is done: the exchange says that it is under maintenance."""
    # messages of streams
    DROP = "drop"
    """A message never comes."""
    DUPLICATE = "duplicate"
    """A message comes twice."""
    REORDER = "reorder"
    """A message comes behind the one after it."""
    DISCONNECT = "disconnect"
    """The connection breaks instead of carrying the message."""
    EXPIRE_KEY = "expire_key"
    """The private stream's key expires with the message."""


class FaultError(ValueError):
    """A fault plan that cannot be."""


def parse_faults(texts: list[str]) -> dict[Fault, float]:
    """``NAME=RATE`` texts, such as ``drop=0.01``, as a table of rates.

    Raises
    ------
    FaultError
        For an unknown name, or a rate that is not a number from 0 to 1.
    """
    rates: dict[Fault, float] = {}
    for text in texts:
        name, _, rate = text.partition("=")
        try:
            fault = Fault(name.strip())
        except ValueError:
            raise FaultError(
                f"no fault is called {name!r}: choose of {', '.join(each.value for each in Fault)}"
            ) from None
        try:
            rates[fault] = float(rate)
        except ValueError:
            raise FaultError(f"fault {text!r} is not NAME=RATE, such as {fault.value}=0.01") from None
    return rates


class FaultPlan:
    """Decides of each request and each message what goes wrong with it.

    Parameters
    ----------
    seed
        0 or more.
    rates
        How often each kind happens, 0 to 1; a kind that is left out never does.

    Attributes
    ----------
    happened : Counter of Fault
        How often each kind has happened.

    Raises
    ------
    FaultError
        For a rate outside 0 to 1.
    """

    def __init__(self, seed: int = 0, rates: Mapping[Fault, float] | None = None) -> None:
        self.seed = seed
        self.rates = dict(rates or {})
        self.happened: Counter[Fault] = Counter()
        self._decided: Counter[Fault] = Counter()
        for fault, rate in self.rates.items():
            if not 0 <= rate <= 1:
                raise FaultError(f"fault {fault.value} has rate {rate}: give one from 0 (never) to 1 (always)")

    @property
    def is_quiet(self) -> bool:
        """Whether nothing ever goes wrong."""
        return not self.rates

    def happens(self, fault: Fault) -> bool:
        """Take the next decision of a kind."""
        rate = self.rates.get(fault, 0.0)
        if rate <= 0:
            return False
        self._decided[fault] += 1
        drawn = _uniform(self.seed, fault.value, self._decided[fault]) < rate
        self.happened[fault] += drawn
        return drawn

    def first(self, *faults: Fault) -> Fault | None:
        """The first of ``faults`` that happens now; None when none does. All of them are decided."""
        decided = [fault for fault in faults if self.happens(fault)]
        return decided[0] if decided else None


def _uniform(seed: int, stream: str, number: int) -> float:
    """A number from 0 on and below 1 that depends on its arguments alone."""
    state = seed & _MASK
    for word in (int.from_bytes(blake2b(stream.encode(), digest_size=8).digest(), "little"), number):
        state = _mixed((state + _GOLDEN * (word + 1)) & _MASK)
    return (state >> 11) / 2**53


def _mixed(state: int) -> int:
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
    return state ^ (state >> 31)
