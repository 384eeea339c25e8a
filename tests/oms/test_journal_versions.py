"""Journals of older versions are read as they were meant; newer ones are refused by name."""

from __future__ import annotations

import struct
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest

from oms.journal import JournalVersionError, event_blocks_since, last_session_clean, read_journal, sessions
from oms.journal_format import FORMAT_VERSION, HEADER_BYTES
from oms.journal_scan import scan_session
from oms.journal_versions import UPGRADES
from oms.records import CommandKind, EventKind, RecordKind, ReportKind, TickKind
from tests.oms.journals import facts, write_segments

OLD = Path(__file__).parent.parent / "data" / "journal_v1"
OLD_SESSION = 1795558095983353845
"""A core with an external exchange: two books, trading state set, an order and a cancel-all, two reports, two ticks."""


def test_every_older_version_has_its_step() -> None:
    assert sorted(UPGRADES) == list(range(1, FORMAT_VERSION))


def test_a_file_of_version_1_reads_as_it_was_meant() -> None:
    (path,) = sessions(OLD)
    header, *entries, close = read_journal(path)

    said = header.records[0]
    assert (said["session"], said["format_version"], bytes(said["account"])) == (OLD_SESSION, 1, b"paper")
    assert (said["first_number"], said["segment"]) == (0, 0)
    assert [(entry.kind, len(entry.records)) for entry in entries] == [
        (RecordKind.EVENT, 2),
        (RecordKind.EVENT, 1),
        (RecordKind.COMMAND, 2),
        (RecordKind.COMMAND, 2),
        (RecordKind.EVENT, 3),
        (RecordKind.REPORT, 2),
        (RecordKind.EVENT, 3),
        (RecordKind.TICK, 2),
        (RecordKind.EVENT, 1),
    ]
    assert close.number == 10
    assert entries[2].records["kind"].tolist() == [CommandKind.NEW, CommandKind.CANCEL_ALL]
    assert entries[2].records["request_id"].tolist() == [3, 0]
    assert entries[3].records["kind"].tolist() == [CommandKind.NEW, CommandKind.CANCEL]
    assert entries[5].records["kind"].tolist() == [ReportKind.ACCEPTED, ReportKind.FILL]
    assert entries[6].records["kind"][1] == EventKind.ORDER_FILLED
    assert entries[7].records["kind"].tolist() == [TickKind.TIME, TickKind.DEPTH]
    assert last_session_clean(OLD) is True


def test_no_instrument_of_version_1_is_still_none_and_has_no_version() -> None:
    (path,) = sessions(OLD)
    instruments = [
        entry.records["instrument"].tolist() for entry in read_journal(path) if entry.kind <= max(RecordKind)
    ]
    assert instruments == [[0, 1], [-1], [0, -1], [0, 0], [0, 0, -1], [0, 0], [0, 0, 0], [-1, 0], [0]]
    for entry in read_journal(path):
        if "version" in (entry.records.dtype.names or ()):
            assert not entry.records["version"][entry.records["instrument"] < 0].any()


def test_events_of_version_1_are_numbered_as_ever() -> None:
    blocks = list(event_blocks_since(OLD, OLD_SESSION, 4))
    assert np.concatenate([block.records["seq"] for block in blocks]).tolist() == [4, 5, 6, 7, 8, 9]


def test_the_fast_scan_reads_version_1_too() -> None:
    (path,) = sessions(OLD)
    (scan,) = scan_session(path)
    assert [facts(scan.entry(row)) for row in range(len(scan.entries))] == [
        facts(entry) for entry in read_journal(path)
    ]


def with_version(content: bytes, version: int) -> bytes:
    """A file whose first entry says another version, soundly."""
    size = HEADER_BYTES + 128
    head = content[:4] + bytes([version]) + content[5:28]
    return head + struct.pack("<I", crc32(content[32:size], crc32(head))) + content[32:]


def test_a_newer_version_is_refused_by_name(tmp_path: Path) -> None:
    path = write_segments(tmp_path)[0]
    path.write_bytes(with_version(path.read_bytes(), FORMAT_VERSION + 1))
    newer = f"{path} has format version {FORMAT_VERSION + 1}, as a newer zoms writes it"
    message = f"{newer}; this zoms reads 1 to {FORMAT_VERSION}: use the zoms"
    with pytest.raises(JournalVersionError, match=message):
        list(read_journal(path))
    with pytest.raises(JournalVersionError, match=message):
        list(scan_session(path))


def test_the_version_before_is_read_as_it_is(tmp_path: Path) -> None:
    path = write_segments(tmp_path)[0]
    now = [facts(entry) for entry in read_journal(path)]
    path.write_bytes(with_version(path.read_bytes(), FORMAT_VERSION - 1))
    assert [facts(entry) for entry in read_journal(path)] == now


def test_a_version_of_zero_is_refused_by_name(tmp_path: Path) -> None:
    path = write_segments(tmp_path)[0]
    path.write_bytes(with_version(path.read_bytes(), 0))
    with pytest.raises(JournalVersionError, match="has format version 0"):
        list(read_journal(path))
