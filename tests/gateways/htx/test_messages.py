"""HTX's messages as the sandbox makes them, and what is made of frames that are none."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateways.live.htx import pong, unpacked
from gateways.sandbox.htx.messages import double
from gateways.wire.lines import MAX_MESSAGE_BYTES


@pytest.mark.pure
@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("0.00000092", "9.2E-7"),
        ("0.00013303", "1.3303E-4"),
        ("0.051598", "0.051598"),
        ("716", "716.0"),
        ("7.20", "7.2"),
        ("40000000", "4.0E7"),
        ("12693696.43043", "1.269369643043E7"),
        ("0.000", "0.0"),
    ],
)
def test_numbers_are_written_as_recorded_ones_are(text: str, written: str) -> None:
    assert double(text) == written


@pytest.mark.pure
@settings(max_examples=60)
@given(st.decimals(0, 10**9, places=12, allow_nan=False))
def test_written_numbers_are_the_same_numbers(value: Decimal) -> None:
    assert json.loads(double(str(value)), parse_float=Decimal) == value


@pytest.mark.pure
@pytest.mark.parametrize(
    "frame",
    [b"", b"{}", gzip.compress(b"{}")[:-9], gzip.compress(b" " * (MAX_MESSAGE_BYTES + 1), 1), b"\x1f\x8b\x08garbage"],
    ids=["empty", "plain", "cut", "too long", "garbage"],
)
def test_frame_that_is_none_is_left_as_it_is(frame: bytes) -> None:
    assert unpacked(frame) == frame


@pytest.mark.pure
def test_frames_are_unpacked_and_pings_answered_with_their_number() -> None:
    assert unpacked(gzip.compress(b'{"ping":1583491673714}')) == b'{"ping":1583491673714}'
    assert pong(b'{"ping":1583491673714}') == '{"pong":1583491673714}'
    for other in (b'{"ping":"x"}', b'{"ping":', b'{"ch":"market.btcusdt.bbo"}', b""):
        assert pong(other) == ""
