"""What is known about a recording: from the TOML file beside it, or detected from its messages."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Final

import msgspec

from gateways.binance import VenueError, venue_named, venue_of
from gateways.layouts import NS_PER_MS
from gateways.lines import LineReader, RecordingError

LINE: Final = re.compile(rb"([0-9]{19}) (\S.*)", re.ASCII | re.DOTALL)
"""A line without its end: when the message was received, ns, and the message."""

MAX_CLOCK_OFFSET_NS: Final = 10**9 * 86_400 * 366


class Sidecar(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of the file beside a recording; ``docs/recordings.md`` explains it."""

    venue: str
    symbol: str
    clock_offset_ns: int
    """Recording clock less exchange clock: subtracted from each line's timestamp."""
    messages: int
    recorded: str
    source: str
    licence: str


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded stream of one instrument.

    ``note`` is empty, or says that the other facts were detected because there is no sidecar.
    """

    path: Path
    venue: str
    symbol: str
    clock_offset_ns: int
    messages: int
    source: str = ""
    licence: str = ""
    recorded: str = ""
    note: str = ""


def sidecar_path(path: Path) -> Path:
    """The TOML file beside a recording: ``x.gz`` has ``x.toml``."""
    return path.with_name(path.name.removesuffix(".gz") + ".toml")


def open_recording(path: Path) -> Recording:
    """Find out what ``path`` is a recording of.

    Raises
    ------
    RecordingError
        When the file is missing, its sidecar is wrong, its venue is not supported, or nothing in it is a message.
    """
    if not path.is_file():
        raise RecordingError(
            f"recording {path} does not exist: give the path of a file of lines 'TIMESTAMP MESSAGE', gzip or plain"
        )
    beside = sidecar_path(path)
    recording = _read_sidecar(path, beside) if beside.is_file() else detect(path)
    try:
        venue_named(recording.venue)
    except VenueError as error:
        raise RecordingError(f"recording {path}: {error}") from None
    return recording


def _read_sidecar(path: Path, beside: Path) -> Recording:
    try:
        facts = msgspec.toml.decode(beside.read_bytes(), type=Sidecar)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
        raise RecordingError(f"sidecar {beside} cannot be used: {error}; correct it or remove it") from None
    if abs(facts.clock_offset_ns) > MAX_CLOCK_OFFSET_NS or facts.messages < 0:
        raise RecordingError(
            f"sidecar {beside} has clock_offset_ns {facts.clock_offset_ns} and messages {facts.messages}: "
            f"an offset is less than a year of ns, and messages are counted; correct it or remove it"
        )
    return Recording(path=path, **msgspec.structs.asdict(facts))


class _Probe(msgspec.Struct):
    """The few fields that tell symbol and time, of an envelope, an event or a snapshot."""

    data: msgspec.Raw = msgspec.Raw()
    symbol: str = msgspec.field(default="", name="s")
    transaction_ms: int | None = msgspec.field(default=None, name="T")
    event_ms: int | None = msgspec.field(default=None, name="E")


_probe: Final = msgspec.json.Decoder(_Probe)


def detect(path: Path) -> Recording:
    """Read the whole file for venue, symbol, number of messages and clock offset.

    The offset is the least distance from exchange time to receive time when that is negative, otherwise 0: after the
    correction nothing is received before it was sent.

    Raises
    ------
    RecordingError
        When no line tells the venue or the symbol.
    """
    reader = LineReader(path)
    venue: str | None = None
    symbols: Counter[str] = Counter()
    messages = 0
    offset = 0
    for chunk in reader.chunks():
        for line in chunk.splitlines():
            match = LINE.fullmatch(line)
            if match is None:
                continue
            try:
                probe = _probe.decode(match[2])
                if probe.data:
                    probe = _probe.decode(probe.data)
            except (msgspec.DecodeError, msgspec.ValidationError):
                continue
            messages += 1
            if venue is None:
                venue = venue_of(match[2])
            if probe.symbol:
                symbols[probe.symbol] += 1
            exch_ms = probe.event_ms if probe.transaction_ms is None else probe.transaction_ms
            if exch_ms is not None:
                offset = min(offset, int(match[1]) - exch_ms * NS_PER_MS)
    if venue is None or not symbols:
        raise RecordingError(
            f"recording {path} holds no line 'TIMESTAMP MESSAGE' that tells its venue and symbol"
            f"{': ' + reader.damage if reader.damage else ''}; "
            f"give a recording of Binance streams, or write its facts to {sidecar_path(path).name}"
        )
    symbol = symbols.most_common(1)[0][0]
    return Recording(
        path=path,
        venue=venue,
        symbol=symbol,
        clock_offset_ns=max(offset, -MAX_CLOCK_OFFSET_NS),
        messages=messages,
        note=(
            f"{path} has no {sidecar_path(path).name} beside it: detected {venue} {symbol}, {messages} messages, "
            f"clock offset {offset} ns"
        ),
    )
