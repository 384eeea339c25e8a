"""What keeps a stream up: waits between tries, the library that is taken, messages in parts."""

from __future__ import annotations

import asyncio
import ssl
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.live.client import Backoff, Policy, Stream
from gateways.live.connection import Connection, Sink, fastest
from gateways.live.route import Route
from gateways.seldom_log import SeldomLog

pytestmark = pytest.mark.pure


class Kept:
    """A sink that keeps what it is given, flushes as None."""

    def __init__(self) -> None:
        self.messages: list[bytes | None] = []

    def take(self, message: bytes, ts: int) -> None:
        assert ts > 10**18
        self.messages.append(message)

    def flush(self) -> None:
        self.messages.append(None)


class Held(Connection):
    """A connection that a test ends."""

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self.sent: list[str] = []

    def send(self, text: str) -> None:
        self.sent.append(text)

    def close(self) -> None:
        self.has_ended()


@given(first_s=st.floats(0.001, 1.0), tries=st.integers(1, 20))
def test_waits_double_up_to_the_longest_and_are_drawn_from_the_upper_half(first_s: float, tries: int) -> None:
    backoff = Backoff(first_s, 10.0)
    for number in range(tries):
        most_s = min(first_s * 2**number, 10.0)
        assert most_s / 2 <= backoff.next_s() <= most_s
    backoff.reset()
    assert backoff.next_s() <= first_s


def test_waits_of_two_clients_differ() -> None:
    assert len({Backoff(1.0, 10.0).next_s() for _ in range(20)}) > 10


def test_without_picows_the_connections_are_those_of_aiohttp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picows", None)
    monkeypatch.delitem(sys.modules, "gateways.live.by_picows", raising=False)
    assert fastest().__module__ == "gateways.live.by_aiohttp"


def test_with_picows_they_are_its_own() -> None:
    pytest.importorskip("picows")
    assert fastest().__module__ == "gateways.live.by_picows"


def test_message_in_parts_is_one_and_a_read_ends_with_its_last_frame() -> None:
    picows = pytest.importorskip("picows")
    from gateways.live.by_picows import PicowsConnection

    kinds = picows.WSMsgType
    sink = Kept()

    async def receive() -> None:
        connection = PicowsConnection(sink)
        for kind, payload, is_final in (
            (kinds.TEXT, b"whole", True),
            (kinds.TEXT, b"in ", False),
            (kinds.PING, b"", True),
            (kinds.CONTINUATION, b"two ", False),
            (kinds.CONTINUATION, b"parts", True),
            (kinds.BINARY, b"bytes", True),
        ):
            frame: Any = picows.picows._make_test_ws_frame(kind, payload, is_final, False)
            connection.on_ws_frame(None, frame)  # type: ignore[arg-type]
        assert connection.heard.done()

    asyncio.run(receive())
    assert [message for message in sink.messages if message is not None] == [b"whole", b"in two parts", b"bytes"]
    assert sink.messages.count(None) == 6  # each of these frames is the last of its read


def run_stream(policy: Policy, outcomes: list[Exception | None], until: Any, **feed: Any) -> tuple[Stream, list[Held]]:
    """A stream whose tries come to these, then hold; runs until ``until(stream, made)``."""
    made: list[Held] = []

    async def connect(_url: str, _route: Route, sink: Sink) -> Connection:
        outcome = outcomes.pop(0) if outcomes else None
        if outcome is not None:
            raise outcome
        made.append(Held(sink))
        return made[-1]

    async def run() -> Stream:
        stream = Stream("wss://x", Route(ssl.create_default_context()), Kept(), policy=policy, connect=connect, **feed)
        running = asyncio.ensure_future(stream.run())
        async with asyncio.timeout(30):
            while not until(stream, made) and not running.done():
                await asyncio.sleep(0)
        if running.done():
            running.result()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return stream

    return asyncio.run(run()), made


QUICK = Policy(first_wait_s=0.001, longest_wait_s=0.002)


def test_failed_tries_are_counted_and_said_and_made_again() -> None:
    stream, made = run_stream(QUICK, [OSError("no route"), TimeoutError()], lambda stream, _made: stream.is_up)
    assert (stream.failed, stream.opened, len(made)) == (2, 1, 1)
    assert stream.last_error == "wss://x: TimeoutError"


def test_a_connection_that_is_lost_and_had_again_is_told_once_each_with_the_reason() -> None:
    told: list[str] = []

    def until(stream: Stream, made: list[Held]) -> bool:
        for each in made[:-1] or made:
            each.why = "it was closed with code 1001"
            each.has_ended()
        return len(made) == 2 and stream.is_up and stream.failed == 5

    run_stream(QUICK, [None, *[OSError("no route")] * 5], until, log=SeldomLog(told.append))
    lost, *again = told
    assert lost == "wss://x: lost: it was closed with code 1001; trying again"
    assert [line.partition("after")[0] for line in again] == ["wss://x: connected again "]


def test_a_connection_that_cannot_be_had_is_told_with_the_reason_and_so_is_one_that_brings_nothing() -> None:
    told: list[str] = []
    run_stream(QUICK, [OSError("no route")], lambda stream, _made: stream.is_up, log=SeldomLog(told.append))
    assert told[0] == "wss://x: cannot connect: no route; trying again"
    told.clear()
    silent = QUICK._replace(silent_s=0.01)
    run_stream(silent, [], lambda stream, _made: stream.silent == 1, log=SeldomLog(told.append))
    assert told[0] == "wss://x: lost: nothing came for 0.01 s; trying again"


def test_successor_takes_over_once_it_has_brought_something() -> None:
    taken_over: list[bool] = []

    def until(stream: Stream, made: list[Held]) -> bool:
        if len(made) == 2 and not taken_over:
            taken_over.append(made[0].ended.done())
            made[1].has_arrived()
        return len(made) >= 2 and made[0].ended.done()

    stream, made = run_stream(QUICK._replace(lasts_s=0.01), [], until)
    assert taken_over == [False]
    assert stream.silent == 0
    assert made[1].ended.done()  # with the stream


def test_connection_whose_numbers_are_its_own_ends_before_another_takes_over() -> None:
    def until(stream: Stream, made: list[Held]) -> bool:
        return len(made) == 2 and stream.is_up

    _, made = run_stream(QUICK._replace(lasts_s=0.01), [], until, is_alone=True)
    assert made[0].ended.done(), "without the other having brought anything"


def test_what_the_sink_raises_ends_the_stream() -> None:
    def until(_stream: Stream, made: list[Held]) -> bool:
        for each in made:
            each.has_ended(ZeroDivisionError())
        return False

    with pytest.raises(ZeroDivisionError):
        run_stream(QUICK, [], until)


def test_nothing_is_held_when_it_is_cancelled_in_the_midst_of_an_exchange() -> None:
    _, made = run_stream(QUICK._replace(lasts_s=0.01), [], lambda _stream, made: len(made) == 2)
    assert all(each.ended.done() for each in made)


def test_each_new_connection_is_greeted() -> None:
    def until(_stream: Stream, made: list[Held]) -> bool:
        if len(made) == 1:
            made[0].has_ended()
        return len(made) == 2 and bool(made[1].sent)

    _, made = run_stream(QUICK, [], until, greeting=("hello", "there"))
    assert [each.sent for each in made] == [["hello", "there"]] * 2


def test_quiet_connection_is_sent_pings_before_it_is_given_up() -> None:
    stream, made = run_stream(QUICK._replace(silent_s=0.02), [], lambda stream, _made: stream.silent == 1, ping="ping")
    assert made[0].sent.count("ping") >= 1
    assert stream.opened >= 1


def test_book_is_asked_for_anew_only_on_a_connection_that_is_not_new() -> None:
    asked: list[bool] = []

    def until(stream: Stream, made: list[Held]) -> bool:
        if not stream.is_up:
            return False
        asked.append(stream.renew())
        return bool(made[0].sent) and len(asked) > 1

    _, made = run_stream(QUICK._replace(snapshot_every_s=0.01), [], until, renewal=("again",))
    assert set(made[0].sent) == {"again"}
    assert all(asked)
