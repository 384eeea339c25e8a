"""Daily resets: the instants at which a time of day comes round in a named time zone, daylight saving and all.

The core reads no clock and knows no time zones: the host works out the coming instants and puts them into its table.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from oms.account_settings import parse_day_reset
from oms.core.state import MAX_RESETS, State

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NS_PER_US: Final = 1_000
FIRST_DAY_NS: Final = 1_420_070_400 * 10**9
"""2015-01-01 UTC: no session's ticks are older."""


def reset_instants(text: str, after_ns: int, count: int = MAX_RESETS) -> npt.NDArray[np.int64]:
    """The next ``count`` instants (ns) later than ``after_ns`` at which the time of day comes round, ascending.

    A time that a clock going forward leaves out is taken as if the clock had not moved yet, one that comes twice is
    taken the first time: there is one reset each day.
    """
    at, zone = parse_day_reset(text)
    day = (_EPOCH + timedelta(microseconds=after_ns // _NS_PER_US)).astimezone(zone).date() - timedelta(days=1)
    found: list[int] = []
    while len(found) < count:
        moment = datetime.combine(day, at, tzinfo=zone).astimezone(UTC)
        instant = (moment - _EPOCH) // timedelta(microseconds=1) * _NS_PER_US
        if instant > after_ns:
            found.append(instant)
        day += timedelta(days=1)
    return np.array(found, np.int64)


@cache
def all_resets(text: str) -> npt.NDArray[np.int64]:
    """The resets that the core is given, whenever its session is: ``MAX_RESETS`` of them from ``FIRST_DAY`` on."""
    return reset_instants(text, FIRST_DAY_NS)


def define_resets(st: State, account: int, text: str) -> None:
    """Give an account its daily resets; they do not depend on when the session starts, so that it can be repeated."""
    st[0]["accounts"][account]["resets"] = all_resets(text)
