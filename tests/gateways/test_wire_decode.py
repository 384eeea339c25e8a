"""OKX, HTX and BitMEX: what the compiled scanner takes are the records that decoding by field name gives."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateways.decoder import Ticks
from gateways.lines import LineReader
from gateways.wire.bitmex import BitmexDecoder
from gateways.wire.decoder import WireDecoder, wire_of
from gateways.wire.htx import HtxDecoder
from gateways.wire.lines import read_line
from gateways.wire.messages import NamedFields, WireError
from gateways.wire.okx import OkxDecoder
from oms.compiled import JIT, compile_entries
from oms.decimals import GridError
from oms.instruments import Instrument
from oms.records import TickKind
from tests.gateways.test_decode import CHANGES, mutated

LINES_WITHOUT_JIT: Final = 80
LOCAL_TS: Final = 1_723_161_256_302_717_135
WIRE: Final = Path(__file__).resolve().parent.parent / "data/wire"
FILES: Final = {
    "okx": WIRE / "OKX.ws.1.0.gz",
    "htx": WIRE / "HUOBI.ws.44.0.head.gz",
    "bitmex": WIRE / "BITMEX.ws.1.0.gz",
}
BY_NAME: Final[dict[str, type[NamedFields]]] = {"okx": OkxDecoder, "htx": HtxDecoder, "bitmex": BitmexDecoder}


def traded(symbol: str, venue: str, tick: str, lot: str) -> Instrument:
    return Instrument(id=3, symbol=symbol, venue=venue, kind="linear_perpetual", quote="USDT", tick=tick, lot=lot)


INVERSE: Final = Instrument(
    id=3, symbol="XBTUSD", venue="bitmex", kind="inverse_perpetual", base="XBT", quote="USD", tick="0.5", lot="1"
)
RECORDED: Final = {
    "okx": traded("BTC-USDT", "okx", "0.1", "0.00000001"),
    "htx": traded("trioeth", "htx", "0.0000000001", "0.00000001"),
    "bitmex": INVERSE,
}
TRADED: Final = {
    "okx": traded("BTC-USDT", "okx", "0.1", "0.00000001"),
    "htx": traded("BTC-USDT", "htx", "0.01", "0.000001"),
    "bitmex": INVERSE,
}

compile_entries()


class Both:
    """One instrument's decoder, and beside it another one that goes by field names alone."""

    def __init__(self, instrument: Instrument) -> None:
        wire = wire_of(instrument.venue)
        assert wire is not None
        self.decoder: WireDecoder = wire.decoder(instrument)
        self.by_name = BY_NAME[instrument.venue](instrument, lambda reason, text: self.refused.append(text))
        self.refused: list[str] = []

    def check(self, message: bytes) -> Ticks | None:
        """What the scanner gives, which must be what the names give; None where it leaves the message to those."""
        named = self.named(message)
        ticks = self.decoder.scan(message, LOCAL_TS)
        if ticks is None:
            decoded = self.decoder.decode_slowly(message, LOCAL_TS)
            assert decoded.ticks.tobytes() == (b"" if named is None else named.tobytes())
            return None
        assert named is not None, message[:400]
        assert ticks.tobytes() == named.tobytes(), (message[:400], ticks, named)
        assert not self.refused
        return ticks.copy()

    def named(self, message: bytes) -> Ticks | None:
        """What the names give."""
        self.refused.clear()
        try:
            found = self.by_name.decode(message, LOCAL_TS)
        except (WireError, GridError):
            return None
        return np.concatenate(found) if found else None


@cache
def both(venue: str) -> Both:
    return Both(TRADED[venue])


@pytest.mark.parametrize("venue", FILES)
def test_every_recorded_message_that_the_scanner_takes_is_decoded_as_by_name(venue: str) -> None:
    decoders = Both(RECORDED[venue])
    taken = dict.fromkeys(TickKind, 0)
    lines = b"".join(LineReader(FILES[venue]).chunks()).splitlines()
    for line in lines[: None if JIT else LINES_WITHOUT_JIT]:
        with suppress(WireError):
            received = read_line(line)
            ticks = None if received is None else decoders.check(received.message)
            if ticks is not None:
                taken[TickKind(int(ticks["kind"][0]))] += 1
    if not JIT:
        return
    assert {kind.name: count for kind, count in taken.items() if count} == {
        "okx": {"DEPTH": 97, "TRADE": 69, "QUOTE": 25, "SNAPSHOT": 1},
        "htx": {"TRADE": 1, "SNAPSHOT": 4},
        "bitmex": {"DEPTH": 1299, "TRADE": 5, "QUOTE": 28},
    }[venue]


OKX_ROW: Final = (
    '{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"%s","data":[{"asks":[["64000.1","0.5","0","2"]],'
    '"bids":[["63999.9","1.25","0","3"],["63999","0","0","0"]],"ts":"1723161256301"%s}]}'
)
SWAP_BOOK: Final = (
    '{"ch":"market.BTC-USDT.depth.size_150.high_freq","tick":{"asks":[[13081.9,206]],"bids":[[13081,1.5E+1]],'
    '"ch":"market.BTC-USDT.depth.size_150.high_freq","event":"%s","id":131597620,"mrid":131597620,'
    '"ts":1603707576468,"version":8},"ts":1603707576518}'
)
OKX: Final = [
    # the exchange's guide: trades, tickers, bbo-tbt, books; and the fields that were added or moved since 2022
    '{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"130639474","px":"42219.9",'
    '"sz":"0.12060306","side":"buy","ts":"1630048897897","count":"3","source":"0","seqId":1234},{"instId":"BTC-USDT",'
    '"tradeId":"130639475","px":"42219.8","sz":"1","side":"sell","ts":"1630048897898","count":"1","source":"0",'
    '"seqId":1235}]}',
    '{"arg":{"channel":"tickers","instId":"BTC-USDT"},"data":[{"instType":"SPOT","instId":"BTC-USDT","last":"9999.9",'
    '"lastSz":"0.1","askPx":"9999.9","askSz":"11","bidPx":"8888.8","bidSz":"5","open24h":"9000","high24h":"10000",'
    '"low24h":"8888.88","volCcy24h":"2222","vol24h":"2222","sodUtc0":"2222","sodUtc8":"2222","ts":"1597026383085"}]}',
    '{"arg":{"channel":"bbo-tbt","instId":"BTC-USDT"},"data":[{"asks":[["111.06","55154","0","2"]],'
    '"bids":[["111.05","57745","0","2"]],"ts":"1670324386802","seqId":363996337}]}'.replace("111.0", "111."),
    OKX_ROW % ("snapshot", ',"checksum":-855196043,"seqId":123456,"prevSeqId":-1'),
    OKX_ROW % ("update", ',"checksum":0,"seqId":123457,"prevSeqId":123456'),
    OKX_ROW % ("update", ',"checksum":5,"prevSeqId":123456,"seqId":123457'),
    OKX_ROW % ("update", ',"checksum":-652563973'),
]
HTX: Final = [
    # the exchange's pages of spot, then of USDT-margined contracts
    '{"ch":"market.btcusdt.trade.detail","ts":1630994963175,"tick":{"id":137005445109,"ts":1630994963173,"data":['
    '{"id":137005445109359286410323766,"ts":1630994963173,"tradeId":102523573486,"amount":0.006754,"price":52648.62,'
    '"direction":"buy"},{"id":137005445109359286410323767,"ts":1630994963173,"tradeId":102523573487,"amount":4.0E7,'
    '"price":5.264861E4,"direction":"sell"}]}}',
    '{"ch":"market.btcusdt.bbo","ts":1630994555540,"tick":{"seqId":137005210233,"ask":52665.02,"askSize":1.502181,'
    '"bid":52665.01,"bidSize":0.178567,"quoteTime":1630994555539,"symbol":"btcusdt"}}',
    '{"ch":"market.btcusdt.mbp.150","ts":1573199608679,"tick":{"seqNum":100020146795,"prevSeqNum":100020146794,'
    '"bids":[],"asks":[[645.140000000000000000,26.755973000000000000]]}}',
    '{"ch":"market.btcusdt.mbp.150","ts":1573199608679,"tick":{"seqNum":7,"prevSeqNum":6,"bids":[[645.1,0.0],[5,1e1]]}}',
    '{"ch":"market.btcusdt.depth.step0","ts":1573199608679,"tick":{"bids":[[645.1,0.5]],"asks":[[645.2,0.1]],'
    '"version":100182534697,"ts":1618678069868}}',
    '{"ch":"market.BTC-USDT.trade.detail","ts":1603708208346,"tick":{"id":131602265,"ts":1603708208335,"data":['
    '{"amount":2,"ts":1603708208335,"id":1316022650000,"price":13073.3,"direction":"buy","quantity":0.002,'
    '"trade_turnover":26.1466}]}}',
    '{"ch":"market.BTC-USDT.bbo","ts":1603707934525,"tick":{"mrid":131599726,"id":1603707934,"bid":[13064,38],'
    '"ask":[13072.3,205],"ts":1603707934525,"version":131599726,"ch":"market.BTC-USDT.bbo"}}',
    SWAP_BOOK % "update",
    SWAP_BOOK % "snapshot",
]
BITMEX: Final = [
    '{"table":"quote","action":"insert","data":[{"timestamp":"2021-07-22T22:36:10.087Z","symbol":"XBTUSD",'
    '"bidSize":1050200,"bidPrice":32180,"askPrice":32180.5,"askSize":161000},{"timestamp":"2021-07-22T22:36:10.404Z",'
    '"symbol":"XBTUSD","bidSize":1050200,"bidPrice":32180,"askPrice":32180.5,"askSize":99200}]}',
    '{"table":"trade","action":"insert","data":[{"timestamp":"2021-07-22T22:36:11.685Z","symbol":"XBTUSD","side":"Buy",'
    '"size":100,"price":32180.5,"tickDirection":"PlusTick","trdMatchID":"6e70bebe-235e-08a6-d11b-e1042bf1f2ed",'
    '"grossValue":310747,"homeNotional":0.00310747,"foreignNotional":100}]}',
]
SAMPLES: Final = {"okx": OKX, "htx": HTX, "bitmex": BITMEX}


@pytest.mark.parametrize(("venue", "message"), [(venue, text) for venue, texts in SAMPLES.items() for text in texts])
def test_a_documented_message_is_taken_by_the_scanner(venue: str, message: str) -> None:
    assert both(venue).check(message.encode()) is not None


def test_rows_are_records_with_their_own_time_side_and_id() -> None:
    trades = both("okx").check(OKX[0].encode())
    assert trades is not None
    fields = ["exch_ts", "px", "qty", "update_id", "side", "flags"]
    assert trades[fields].tolist() == [
        (1_630_048_897_897_000_000, 422_199, 12_060_306, 130_639_474, 1, 3),
        (1_630_048_897_898_000_000, 422_198, 100_000_000, 130_639_475, -1, 3),
    ]
    trades = both("htx").check(HTX[0].encode())
    assert trades is not None
    assert trades[fields].tolist() == [
        (1_630_994_963_173_000_000, 5_264_862, 6_754, 102_523_573_486, 1, 3),
        (1_630_994_963_173_000_000, 5_264_861, 40_000_000_000_000, 102_523_573_487, -1, 3),
    ]
    trades = both("bitmex").check(BITMEX[1].encode())
    assert trades is not None
    assert trades[fields].tolist() == [(1_626_993_371_685_000_000, 64_361, 100, 0x6E70BEBE235E08A, 1, 3)]


def test_quotes_have_both_sides_and_the_venues_number() -> None:
    fields = ["px", "qty", "px_2", "qty_2", "update_id"]
    for venue, at, expected in (
        ("okx", 2, (1115, 5_774_500_000_000, 1116, 5_515_400_000_000, 363_996_337)),
        ("htx", 1, (5_266_501, 178_567, 5_266_502, 1_502_181, 137_005_210_233)),
        ("htx", 6, (1_306_400, 38_000_000, 1_307_230, 205_000_000, 131_599_726)),
        ("bitmex", 0, (64_360, 1_050_200, 64_361, 161_000, 0)),
    ):
        quotes = both(venue).check(SAMPLES[venue][at].encode())
        assert quotes is not None
        assert quotes[fields].tolist()[0] == expected


def test_the_books_messages_have_the_venues_numbers() -> None:
    for venue, at, ids in (
        ("okx", 3, (123_456, 123_456)),
        ("okx", 4, (123_457, 123_456)),
        ("okx", 5, (123_457, 123_456)),
        ("okx", 6, (-1, -1)),
        ("htx", 2, (100_020_146_795, 100_020_146_794)),
        ("htx", 4, (-1, -1)),
        ("htx", 7, (8, 7)),
        ("htx", 8, (8, 8)),
    ):
        book = both(venue).check(SAMPLES[venue][at].encode())
        assert book is not None
        assert set(book[["update_id", "px_2"]].tolist()) == {ids}


@pytest.mark.parametrize("venue", SAMPLES)
def test_a_truncated_message_is_not_taken_at_any_length(venue: str) -> None:
    for message in SAMPLES[venue]:
        for length in range(0, len(message), 1 if JIT else 7):
            assert both(venue).decoder.scan(message[:length].encode(), LOCAL_TS) is None


@pytest.mark.parametrize("venue", SAMPLES)
@settings(max_examples=200 if JIT else 40, deadline=None)
@given(data=st.data())
def test_what_the_scanner_takes_of_mutated_messages_is_what_the_names_give(venue: str, data: st.DataObject) -> None:
    message = data.draw(st.sampled_from(SAMPLES[venue])).encode()
    both(venue).check(mutated(message, data.draw(CHANGES)))


VALUES: Final[st.SearchStrategy[object]] = st.one_of(
    st.sampled_from(["61800.30", "61800.35", "0", "7", "-1", "1e3", "", "1_0", "9" * 25, "BTC-USDT", "buy", "Sell"]),
    st.sampled_from(["2021-02-29T00:00:00.000Z", "2020-02-29T23:59:59.999Z", "2021-07-22T24:00:00.000Z"]),
    st.sampled_from(
        [None, True, 0, 1, -1, 2**62, 2**63, 10**30, 1.5, 1e-7, [], {}, [["1.0", "1", "0", "1"]], [[1, 2]]]
    ),
)


def parts_of(content: Any) -> list[Any]:
    """All objects in a message, the lists of levels too."""
    inner = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    return ([content] if content and isinstance(content, (dict, list)) else []) + [
        p for x in inner for p in parts_of(x)
    ]


@pytest.mark.parametrize("venue", SAMPLES)
@settings(max_examples=150 if JIT else 40, deadline=None)
@given(data=st.data())
def test_changed_and_missing_values_are_decoded_as_by_name(venue: str, data: st.DataObject) -> None:
    content = json.loads(data.draw(st.sampled_from(SAMPLES[venue])))
    for _ in range(data.draw(st.integers(1, 2))):
        part = data.draw(st.sampled_from(parts_of(content)))
        key = data.draw(st.sampled_from(sorted(part) if isinstance(part, dict) else range(len(part))))
        if data.draw(st.booleans()):
            part[key] = json.loads(json.dumps(data.draw(VALUES)))  # one of its own: it may be changed next
        elif data.draw(st.booleans()):
            del part[key]
        elif isinstance(part, list):
            part.append(part[key])
        if not parts_of(content):
            return
    both(venue).check(json.dumps(content, separators=(",", ":")).encode())


FRACTIONS: Final = ("", ".0", ".25", ".5", ".123456", ".1000000")
EXPONENTS: Final = ("", "", "E0", "e1", "E+2", "E-1", "E-7", "e12")
NUMBERS: Final = st.one_of(
    st.tuples(st.integers(0, 10**6).map(str), st.sampled_from(FRACTIONS), st.sampled_from(EXPONENTS)).map("".join),
    st.sampled_from(["0", "00", "01", "1.", ".5", "1e", "1e+", "-0", "+1", "1e400", "0E5", "0.01E2", "9" * 18 + "E0"]),
    st.sampled_from(
        ["1." + "0" * 40, "1." + "0" * 41, "1" + "0" * 17 + "E1", "10000000E-9", "1E18", "4E+18", "5.0E18"]
    ),
)


@settings(max_examples=200 if JIT else 60, deadline=None)
@given(px=NUMBERS, qty=NUMBERS)
def test_json_numbers_are_exact_on_the_grid_and_left_to_the_names_off_it(px: str, qty: str) -> None:
    message = HTX[5].replace("13073.3", px).replace('"amount":2', f'"amount":{qty}')
    ticks = both("htx").check(message.encode())
    if ticks is not None:
        assert ticks["px"][0] == Decimal(px) * 100
        assert ticks["qty"][0] == Decimal(qty) * 10**6


@pytest.mark.parametrize(("px", "ticks"), [("9.2E-1", 92), ("1.3E4", 1_300_000), ("5e0", 500), ("1.0e+2", 10_000)])
def test_numbers_with_an_exponent_are_taken_by_the_scanner(px: str, ticks: int) -> None:
    found = both("htx").check(HTX[5].replace("13073.3", px).encode())
    assert found is not None
    assert found["px"].tolist() == [ticks]


@settings(max_examples=60, deadline=None)
@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2110, 1, 1)) | st.from_regex(r"\A20[0-9]{2}-[0-3][0-9]-[0-3][0-9]\Z")
)
def test_iso_times_are_those_of_the_calendar(time: datetime | str) -> None:
    text = f"{time}T10:20:30.405Z" if isinstance(time, str) else time.isoformat(timespec="milliseconds") + "Z"
    ticks = both("bitmex").check(BITMEX[1].replace("2021-07-22T22:36:11.685Z", text).encode())
    assert isinstance(time, str) or ticks is not None


ROWS: Final = st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["Buy", "Sell"]), st.integers(0, 3)), max_size=3)
PRICES: Final = ("100", "100.5", "100.25", "0")
"""On the tick, off it, and none; by id, from 1."""


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["partial", "insert", "update", "delete"]), ROWS), max_size=12))
def test_bitmex_books_have_the_same_levels_and_gaps_as_by_name(changes: list[tuple[str, list[Any]]]) -> None:
    decoders = Both(INVERSE)
    for action, rows in changes:
        texts = []
        for number, side, size in rows:
            text = f'{{"symbol":"XBTUSD","id":{number},"side":"{side}"'
            text += "" if action == "delete" else f',"size":{size}'
            text += f',"price":{PRICES[number - 1]}' if action in ("partial", "insert") else ""
            texts.append(text + "}")
        message = f'{{"table":"orderBookL2","action":"{action}","data":[{",".join(texts)}]}}'
        decoders.check(message.encode())


@pytest.mark.parametrize(("close", "px"), [("9800.12", 980_012), ("9800.125", 980_013), ("9800.1249", 980_012)])
def test_htx_s_mark_price_is_the_close_to_the_nearest_tick(close: str, px: int) -> None:
    message = (
        '{"ch":"market.BTC-USDT.mark_price.1min","ts":1489474082831,"tick":{"vol":"0","close":"$CLOSE","count":"0",'
        '"high":"9900","id":1489474080,"low":"9700","open":"9750","trade_turnover":"0","amount":"0"}}'
    )
    (mark,) = both("htx").decoder.decode(message.replace("$CLOSE", close).encode(), LOCAL_TS)
    assert mark[["kind", "px", "px_2", "exch_ts"]].tolist() == (TickKind.MARK, px, 0, 1_489_474_082_831_000_000)
