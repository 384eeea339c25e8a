"""The offset of the clock, as it was last measured in whole."""

from __future__ import annotations

import asyncio

import pytest

from gateways.live.clock import ClockOffset
from gateways.live.requests import RequestError


def test_measurement_that_breaks_off_leaves_the_one_before() -> None:
    answers = iter([5_000])

    async def ask_ms() -> int:
        for answer in answers:
            return answer
        raise RequestError("gone")

    clock = ClockOffset(now_ns=lambda: 6_000 * 10**6)
    with pytest.raises(RequestError):
        asyncio.run(clock.measure(ask_ms))
    assert (clock.offset_ms, clock.error_ms) == (0.0, 0.0)
