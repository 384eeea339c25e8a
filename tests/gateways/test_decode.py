"""Decoding: exactly what json and Decimal give, or a refusal; whatever the bytes are."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateways.binance import MessageDecoder, venue_of
from gateways.decoder import Ticks
from gateways.layouts import MAX_LEVELS, new_scanner
from gateways.recording import TickReader, read_ticks
from gateways.sidecar import open_recording
from oms.compiled import JIT, compile_entries
from oms.instruments import Instrument
from oms.records import Reason, TickKind
from tests.gateways.reference import COINM, COINM_FILE, SPOT, SPOT_FILE, USDM, USDM_FILE, reference_decode

LOCAL_TS = 1_723_161_256_302_717_135
FILES = {"usdm": (USDM_FILE, USDM), "spot": (SPOT_FILE, SPOT), "coinm": (COINM_FILE, COINM)}
LINES_WITHOUT_JIT = 400

compile_entries()


@cache
def lines(market: str) -> tuple[tuple[int, bytes], ...]:
    """The recording's lines as corrected receive time and message."""
    file, _ = FILES[market]
    offset = open_recording(file).clock_offset_ns
    whole = gzip.decompress(file.read_bytes()).splitlines()
    return tuple((int(line[:19]) - offset, line[20:]) for line in whole[: None if JIT else LINES_WITHOUT_JIT])


@cache
def samples(market: str) -> tuple[bytes, ...]:
    """A few short messages of each kind, and a snapshot cut to a few levels."""
    messages = [message for _, message in lines(market)]
    found = [b'{"lastUpdateId":51,"E":1723161256501,"T":1723161256493,"bids":[["61800.20","2.909"]],"asks":[]}']
    if market == "spot":
        found = [b'{"lastUpdateId":51,"bids":[["61800.20000000","2.90900000"],["1.00","1.00"]],"asks":[]}']
    if market == "coinm":
        found = [
            b'{"lastUpdateId":51,"E":1723161256501,"T":1723161256493,"symbol":"BTCUSD_PERP","pair":"BTCUSD",'
            b'"bids":[["61800.2","2909"]],"asks":[]}'
        ]
    for name in (b"@trade", b"@bookTicker", b"@depth"):
        found += sorted((message for message in messages if name in message), key=len)[:4]
    return (*found, *MESSAGES_OF_2026.get(market, ()))


@cache
def decoder(market: str) -> MessageDecoder:
    _, instrument = FILES[market]
    return MessageDecoder(instrument.venue, instrument)


def assert_same(ours: Ticks, theirs: Ticks, message: bytes) -> None:
    assert ours.tobytes() == theirs.tobytes(), (message[:400], ours, theirs)


@pytest.mark.parametrize("market", FILES)
@pytest.mark.parametrize("step", [11, pytest.param(1, marks=pytest.mark.thorough)])
def test_every_recorded_message_gives_the_reference_decoders_records(market: str, step: int) -> None:
    _, instrument = FILES[market]
    for local_ts, message in lines(market)[::step]:
        assert_same(decoder(market).decode(message, local_ts), reference_decode(message, local_ts, instrument), message)


@pytest.mark.parametrize("market", FILES)
def test_the_slow_path_gives_the_same_records(market: str) -> None:
    for local_ts, message in lines(market)[::29]:
        fast = decoder(market).decode(message, local_ts).copy()
        assert_same(decoder(market).decode_slowly(message, local_ts).ticks, fast, message)


@pytest.mark.skipif(not JIT, reason="the whole recordings are decoded by compiled code only")
@pytest.mark.parametrize(
    ("market", "counts"),
    [
        ("usdm", {TickKind.DEPTH: 443_521, TickKind.TRADE: 21_313, TickKind.QUOTE: 66_089, TickKind.SNAPSHOT: 2_000}),
        ("spot", {TickKind.DEPTH: 124_087, TickKind.TRADE: 9_757, TickKind.QUOTE: 28_040, TickKind.SNAPSHOT: 2_000}),
        ("coinm", {TickKind.DEPTH: 296_013, TickKind.TRADE: 2_286, TickKind.QUOTE: 19_136, TickKind.SNAPSHOT: 2_000}),
    ],
)
def test_batches_give_the_records_of_the_single_messages(market: str, counts: dict[TickKind, int]) -> None:
    file, instrument = FILES[market]
    reader = TickReader(open_recording(file), instrument)
    batched = np.concatenate(list(reader.batches()))
    singly = np.concatenate([decoder(market).decode(message, ts).copy() for ts, message in lines(market)])
    assert batched.tobytes() == singly.tobytes()
    assert {kind: int((batched["kind"] == kind).sum()) for kind in counts} == counts
    assert len(batched) == sum(counts.values())
    assert reader.counters.messages == len(lines(market)) == open_recording(file).messages


def test_the_recorded_layouts_take_the_fast_path_and_the_three_off_lot_levels_are_counted() -> None:
    for market, refused in (("usdm", {}), ("coinm", {}), ("spot", {Reason.QTY_BELOW_MIN: 3} if JIT else {})):
        instrument = FILES[market][1]
        fresh = MessageDecoder(instrument.venue, instrument)
        for local_ts, message in lines(market):
            fresh.decode(message, local_ts)
        assert fresh.refused == refused
        assert fresh.slow == sum(refused.values())


MESSAGES_OF_2026 = {
    "usdm": (
        b'{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":359220650272,"s":"BTCUSDT","ps":"BTCUSDT",'
        b'"b":"64336.00","B":"73.334","a":"64346.70","A":"589.802","T":1785048483771,"E":1785048483771,"st":1}}',
        b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1785685177439,"T":1785685177439,"s":"BTCUSDT",'
        b'"t":7947325360,"p":"63113.20","q":"0.001","X":"MARKET","m":false,"st":1}}',
        b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1788376136014,"T":1788376136012,"s":"BTCUSDT",'
        b'"ps":"BTCUSDT","U":11377001539649,"u":11377001557469,"pu":11377001539214,"b":[["78562.70","0.775"]],'
        b'"a":[["78562.80","1.848"],["78563.00","0.002"]],"st":1}}',
    ),
    "coinm": (
        b'{"stream":"btcusd_perp@bookTicker","data":{"e":"bookTicker","u":11660059839759,"s":"BTCUSD_PERP",'
        b'"ps":"BTCUSD","b":"83732.4","B":"680","a":"83732.5","A":"2458","T":1790373637547,"E":1790373637547,"st":2}}',
        b'{"stream":"btcusd_perp@trade","data":{"e":"trade","E":1790373534694,"T":1790373534694,"s":"BTCUSD_PERP",'
        b'"t":1155839922,"p":"83781.6","q":"1","X":"MARKET","m":false}}',
        b'{"stream":"btcusd_perp@depth@100ms","data":{"e":"depthUpdate","E":1790373637622,"T":1790373637613,'
        b'"s":"BTCUSD_PERP","ps":"BTCUSD","U":11660059838224,"u":11660059844303,"pu":11660059836647,'
        b'"b":[["82997.3","1382"],["83517.9","0"]],"a":[["83732.5","2458"]],"st":2}}',
    ),
}
"""As the two markets have sent them since 2026: with the pair (``ps``) and the market (``st``)."""


@pytest.mark.parametrize("market", MESSAGES_OF_2026)
def test_the_layouts_of_2026_take_the_fast_path_and_tell_their_market(market: str) -> None:
    instrument = FILES[market][1]
    fresh = MessageDecoder(instrument.venue, instrument)
    for message in MESSAGES_OF_2026[market]:
        assert_same(fresh.decode(message, LOCAL_TS), reference_decode(message, LOCAL_TS, instrument), message)
        assert venue_of(message) == instrument.venue
    assert fresh.slow == 0


def test_a_message_that_states_another_market_is_not_taken_by_its_layout() -> None:
    message = MESSAGES_OF_2026["usdm"][1].replace(b'"st":1', b'"st":2')
    assert decoder("usdm").scan(message, LOCAL_TS) is None
    assert venue_of(message) == "binance_coinm"


def mutated(message: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    """``message`` with pieces replaced: (position, length, replacement) each."""
    for at, length, piece in changes:
        start = at % (len(message) + 1)
        message = message[:start] + piece + message[start + length :]
    return message


PIECES = st.one_of(
    st.binary(max_size=3),
    st.sampled_from(
        [b"0", b"00", b".", b"-", b"1e5", b"9" * 19, b"9" * 60, b'"', b",", b"[", b"]", b"{}", b"null", b"true", b" "]
    ),
    st.sampled_from(
        [b'"u":7,', b'"b":[],', b'["1","2"],', b'"X":"ADL",', b'"T":5,', b'"s":"ETHUSDT",', b'"e":"trade",']
    ),
)
CHANGES = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 8), PIECES), min_size=1, max_size=3)


def check_any_bytes(market: str, message: bytes) -> None:
    """Records only where the reference decoder has the very same, and the same from both paths."""
    _, instrument = FILES[market]
    ours = decoder(market).decode(message, LOCAL_TS).copy()
    if len(ours):
        assert_same(ours, reference_decode(message, LOCAL_TS, instrument), message)
        assert_same(ours, decoder(market).decode_slowly(message, LOCAL_TS).ticks, message)


@pytest.mark.parametrize("market", FILES)
@settings(max_examples=500 if JIT else 150, deadline=None)
@given(data=st.data())
def test_mutated_messages_are_decoded_exactly_or_refused(market: str, data: st.DataObject) -> None:
    message = data.draw(st.sampled_from(samples(market)))
    check_any_bytes(market, mutated(message, data.draw(CHANGES)))


VALUES: st.SearchStrategy[object] = st.one_of(
    st.sampled_from(["61800.30", "61800.35", "0.0015", "0", "0.000", "7", "-1", "1e3", "", "1_0", "9" * 25, "BTCUSDT"]),
    st.sampled_from([None, True, False, 0, 1, -1, 2**62, 2**63, 10**30, 1.5, [], {}, [["1.0", "1.000"]], [["1.0"]]]),
    st.lists(st.lists(st.sampled_from(["1.0", "0.000", "0.0005", "0.05", "2"]), min_size=2, max_size=2), max_size=3),
)


@pytest.mark.parametrize("market", FILES)
@settings(max_examples=250 if JIT else 100, deadline=None)
@given(data=st.data())
def test_changed_missing_and_reordered_fields_are_decoded_exactly_or_refused(market: str, data: st.DataObject) -> None:
    document = json.loads(data.draw(st.sampled_from(samples(market))))
    body = document.get("data", document)
    for name in data.draw(st.lists(st.sampled_from(sorted(body)), max_size=2, unique=True)):
        if data.draw(st.booleans()):
            body[name] = data.draw(VALUES)
        else:
            del body[name]
    if data.draw(st.booleans()):
        names = data.draw(st.permutations(sorted(body)))
        reordered = {name: body[name] for name in names}
        document = {**document, "data": reordered} if "data" in document else reordered
    check_any_bytes(market, json.dumps(document, separators=(",", ":")).encode())


@settings(max_examples=100, deadline=None)
@given(message=st.binary(max_size=300))
@example(message=b"")
@example(message=b"\0" * 50)
@example(message=b'{"a":' + b"[" * 100_000)
@example(message=b'{"stream":"btcusdt@trade","data":' + b'{"x":' * 20_000)
def test_random_bytes_never_crash_the_decoder(message: bytes) -> None:
    for market in FILES:
        check_any_bytes(market, message)


@pytest.mark.parametrize("market", FILES)
def test_a_truncated_message_is_refused_at_every_length(market: str) -> None:
    for message in samples(market):
        for length in range(len(message)):
            assert len(decoder(market).decode(message[:length], LOCAL_TS)) == 0


def test_a_message_of_more_levels_than_the_scanner_holds_is_decoded_slowly() -> None:
    levels = ",".join(f'["{60_000 + number}.0","1.000"]' for number in range(MAX_LEVELS + 1))
    for asks, slow in (("", 0), (',["90000.0","1.000"]', 1)):
        text = levels.rpartition(",[")[0] + asks
        message = f'{{"lastUpdateId":7,"E":1,"T":2,"bids":[{text}],"asks":[]}}'.encode()
        before = decoder("usdm").slow
        ticks = decoder("usdm").decode(message, LOCAL_TS)
        assert_same(ticks, reference_decode(message, LOCAL_TS, USDM), message)
        assert (len(ticks), decoder("usdm").slow - before) == (MAX_LEVELS + slow, slow)


@pytest.mark.parametrize(("zeros", "records"), [(39, 1), (40, 0), (60, 0)])
def test_more_than_forty_decimals_are_refused_on_both_ways(zeros: int, records: int) -> None:
    (message, *_) = (message for message in samples("usdm") if b"@trade" in message)
    px = message.partition(b'"p":"')[2].partition(b'"')[0]
    message = message.replace(px, px.rstrip(b"0") + b"0" * zeros)
    assert len(decoder("usdm").decode(message, LOCAL_TS)) == records
    assert len(decoder("usdm").decode_slowly(message, LOCAL_TS).ticks) == records


FIELDS = st.permutations(["e", "E", "T", "s", "t", "p", "q", "X", "m"])


@settings(max_examples=50, deadline=None)
@given(order=FIELDS, extra=st.booleans())
def test_fields_in_any_order_give_the_same_trade(order: list[str], extra: bool) -> None:
    values = {
        "e": '"trade"', "E": "1723161256322", "T": "1723161256321", "s": '"BTCUSDT"', "t": "5266583935",
        "p": '"61800.30"', "q": '"0.006"', "X": '"MARKET"', "m": "false",
    }  # fmt: skip
    body = ",".join(f'"{name}":{values[name]}' for name in order) + (',"new":{"a":[1,"\\u00e9"]}' if extra else "")
    ticks = decoder("usdm").decode(f'{{"stream":"btcusdt@trade","data":{{{body}}}}}'.encode(), LOCAL_TS)
    assert ticks[0].tolist() == (
        1723161256321000000, LOCAL_TS, 618003, 6, 0, 0, 5266583935, 3, 1, TickKind.TRADE, 1, 3
    )  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(
    tick=st.sampled_from(["0.1", "0.01", "0.5", "0.25", "1", "10", "5", "0.00000001", "0.1000"]),
    steps=st.integers(0, 10**18),
    off=st.sampled_from(["", "", "1", "01", "0"]),
    zeros=st.integers(0, 6),
)
def test_prices_are_exact_on_any_grid_and_refused_off_it(tick: str, steps: int, off: str, zeros: int) -> None:
    instrument = Instrument(
        id=1, symbol="BTCUSDT", venue="binance_usdm", kind="linear_perpetual", tick=tick, lot="0.001"
    )
    px = instrument.px_from_ticks(steps)
    px = (px if "." in px else px + ".") + off + "0" * zeros
    px = px.rstrip(".")
    message = (
        '{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":7,"s":"BTCUSDT",'
        f'"b":"{px}","B":"1.000","a":"{px}","A":"0","T":5,"E":6}}}}'
    ).encode()
    ours = _decoder_for(tick).decode(message, LOCAL_TS)
    assert_same(ours, reference_decode(message, LOCAL_TS, instrument), message)


@pytest.mark.parametrize(
    ("layouts", "words"),
    [
        ([(TickKind.TRADE, '{"p":"<price>"}')], "names the unknown field 'price': known are skipped, exch_ms"),
        ([(TickKind.TRADE, "x<px>")] * 17, "17 layouts are more than the scanner's 16"),
        ([(TickKind.TRADE, "x" * 9000)], "longer than the scanner's tables"),
    ],
)
def test_layouts_that_the_scanner_cannot_hold_are_refused(layouts: list[tuple[TickKind, str]], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        new_scanner(USDM, layouts)


@cache
def _decoder_for(tick: str) -> MessageDecoder:
    return MessageDecoder(
        "binance_usdm",
        Instrument(id=1, symbol="BTCUSDT", venue="binance_usdm", kind="linear_perpetual", tick=tick, lot="0.001"),
    )


PURE_PYTHON = """
import gzip, sys
from gateways.binance import MessageDecoder, venue_of
from gateways.scanner import UNRECOGNISED, scan_message
from gateways.recording import read_ticks
from gateways.sidecar import open_recording
from oms.compiled import JIT
from tests.gateways.reference import COINM, COINM_FILE, SPOT, SPOT_FILE, USDM, USDM_FILE
from tests.gateways.test_decode import samples

assert not JIT
for market, instrument, file in (("usdm", USDM, USDM_FILE), ("spot", SPOT, SPOT_FILE), ("coinm", COINM, COINM_FILE)):
    state = MessageDecoder(instrument.venue, instrument).scanner
    for message in samples(market):
        assert scan_message(message, 1, state) > 0
        for length in range(len(message)):
            assert scan_message(message[:length], 1, state) == UNRECOGNISED
    ticks, _ = read_ticks(open_recording(file), instrument, duration_s=0.1)
    sys.stdout.write(ticks.tobytes().hex() + "\\n")
"""


@pytest.mark.thorough
@pytest.mark.skipif(not JIT, reason="this is the run without the compiler")
def test_pure_python_gives_the_same_and_reads_no_byte_outside_a_message() -> None:
    """Without the compiler a read outside a bytes object raises, so this also shows that there is none."""
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-c", PURE_PYTHON]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    for line, (file, instrument) in zip(result.stdout.splitlines(), FILES.values(), strict=True):
        ticks, _ = read_ticks(open_recording(file), instrument, duration_s=0.1)
        assert line == ticks.tobytes().hex()
