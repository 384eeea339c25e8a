"""The compiled scan takes exactly what the plain reader takes, and stops where that stops."""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms.compiled import compile_entries
from oms.journal import Direction, JournalDamageError, JournalError, MissingSegmentError, read_journal, segments
from oms.journal_scan import TABLES, entry_crc, scan_session
from oms.records import RecordKind
from tests.oms.journals import SESSION, Facts, facts, write_segments

pytestmark = pytest.mark.pure


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    compile_entries()


def scanned(path: Path) -> list[Facts]:
    return [facts(scan.entry(row)) for scan in scan_session(path) for row in range(len(scan.entries))]


def test_a_session_is_scanned_as_it_is_read(tmp_path: Path) -> None:
    files = write_segments(tmp_path, rounds=5)
    assert scanned(files[0]) == [facts(entry) for entry in read_journal(files[0])]
    scans = list(scan_session(files[0]))
    assert [scan.path for scan in scans] == files
    assert [scan.closed for scan in scans] == [False] * (len(files) - 1) + [True]
    assert scans[0].following == scans[1].entries["number"][0]


def test_a_scan_can_begin_in_the_middle(tmp_path: Path) -> None:
    files = write_segments(tmp_path)
    assert scanned(files[2]) == [facts(entry) for entry in read_journal(files[2])]


def test_records_of_one_kind_are_gathered_in_order(tmp_path: Path) -> None:
    files = write_segments(tmp_path, rounds=5)
    events = np.concatenate([scan.records(RecordKind.EVENT, Direction.EVENT) for scan in scan_session(files[0])])
    assert events["seq"].tolist() == list(range(15))
    outputs = [len(scan.records(RecordKind.COMMAND, Direction.OUTPUT)) for scan in scan_session(files[0])]
    assert sum(outputs) == 10


def test_the_checksum_is_zlibs() -> None:
    rng = np.random.default_rng(5)
    for words in (4, 6, 20, 4 + 512):
        content = rng.bytes(words * 8)
        expected = crc32(content[32:], crc32(content[:28]))
        assert int(entry_crc(TABLES, np.frombuffer(content, np.uint64), 0, words)) == expected


def test_every_truncation_of_the_last_segment_is_torn(tmp_path: Path) -> None:
    files = write_segments(tmp_path)
    content = files[-1].read_bytes()
    for size in range(len(content)):
        files[-1].write_bytes(content[:size])
        reader = read_journal(files[0])
        expected = [facts(entry) for entry in reader]
        *_, last = scan_session(files[0])
        assert scanned(files[0]) == expected
        assert last.torn == reader.torn
        assert not last.closed


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 8), st.integers(0, 2_000), st.integers(1, 900), st.integers(0, 2**32), st.booleans())
def test_damage_is_found_where_the_reader_finds_it(
    tmp_path_factory: pytest.TempPathFactory, segment: int, start: int, size: int, seed: int, removes: bool
) -> None:
    files = write_segments(tmp_path_factory.mktemp("damage"))
    path = files[segment % len(files)]
    content = path.read_bytes()
    start %= len(content)
    noise = b"" if removes else np.random.default_rng(seed).bytes(len(content[start : start + size]))
    path.write_bytes(content[:start] + noise + content[start + size :])
    said = []
    for read in (lambda: read_journal(files[0]), lambda: scan_session(files[0])):
        try:
            list(read())
            said.append("")
        except JournalError as error:
            said.append(str(error))
    assert said[0] == said[1]


def test_a_missing_segment_is_named(tmp_path: Path) -> None:
    files = write_segments(tmp_path)
    files[1].unlink()
    with pytest.raises(MissingSegmentError, match=f"journal {files[1]} is missing between"):
        list(scan_session(files[0]))


def test_an_empty_file_has_no_entries(tmp_path: Path) -> None:
    files = write_segments(tmp_path)
    files[-1].write_bytes(b"")
    *_, last = scan_session(files[0])
    assert (len(last.entries), last.torn, last.closed) == (0, None, False)
    assert segments(tmp_path, SESSION) == files


def test_damage_in_one_file_is_named(tmp_path: Path) -> None:
    files = write_segments(tmp_path)
    content = bytearray(files[0].read_bytes())
    content[200] ^= 1
    files[0].write_bytes(content)
    with pytest.raises(JournalDamageError, match=f"{files[0]} is damaged at offset 160"):
        list(scan_session(files[0]))
