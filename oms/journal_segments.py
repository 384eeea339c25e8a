"""The files of a journal's folder: which sessions it has, their segments, and the removal of old ones."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from oms.journal_entries import check_entries
from oms.journal_format import (
    HEADER_BYTES,
    SESSION,
    JournalError,
    JournalTruncatedError,
    MetaKind,
    journal_path,
    place_of,
)
from oms.journal_writer import sync_folder

_FIRST_ENTRY_BYTES: Final = HEADER_BYTES + SESSION.itemsize


class SegmentStart(NamedTuple):
    """What a segment's first entry says.

    ``first_event`` is the sequence number of the first event in it, or in a later one when it has none.
    """

    path: Path
    session: int
    segment: int
    first_number: int
    first_event: int
    account: str
    version: int
    """Of the records: ``WIRE_VERSION`` of the core that wrote them."""


def sessions(folder: Path) -> list[Path]:
    """The first segment there is of each session, oldest session first; none when there is no such folder."""
    if not folder.is_dir():
        return []
    first: dict[int, tuple[int, Path]] = {}
    for path in folder.iterdir():
        place = place_of(path)
        if place is not None:
            session, segment = place
            first[session] = min(first.get(session, (segment, path)), (segment, path))
    return [path for _, (_, path) in sorted(first.items())]


def segments(folder: Path, session: int) -> list[Path]:
    """The files of one session that there are, in order."""
    if not folder.is_dir():
        return []
    found = [(place[1], path) for path in folder.iterdir() if (place := place_of(path)) and place[0] == session]
    return [path for _, path in sorted(found)]


def segments_from(path: Path) -> list[Path]:
    """A segment and those behind it that there are, in order; any other file is alone."""
    place = place_of(path)
    if place is None:
        return [path]
    return [path, *(each for each in segments(path.parent, place[0]) if (place_of(each) or place)[1] > place[1])]


def segment_start(path: Path) -> SegmentStart | None:
    """What a segment's first entry says; None when it is not whole (yet).

    Raises
    ------
    JournalError
        When the file cannot be read, or was written by a newer zoms.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            head = file.read(_FIRST_ENTRY_BYTES)
    except OSError as error:
        raise JournalError(f"journal {path} cannot be read: {error.strerror}; check data_dir") from error
    entries = check_entries(head, 0, path)
    if not entries or entries[0].kind != MetaKind.SESSION:
        return None
    said = entries[0].records[0]
    return SegmentStart(
        path,
        int(said["session"]),
        int(said["segment"]),
        int(said["first_number"]),
        int(said["first_event"]),
        bytes(said["account"]).decode(errors="replace"),
        int(said["wire_version"]),
    )


def segment_at_event(path: Path, seq: int) -> SegmentStart | None:
    """Of a segment and those behind it, the last one that begins at or before event ``seq``; None when the first one
    has no whole first entry.

    Raises
    ------
    JournalTruncatedError
        When the event was in a segment that has been removed.
    JournalError
        When a file cannot be read.
    """
    files = segments_from(path)
    found = segment_start(files[0])
    if found is not None and found.first_event > seq and found.segment:
        raise JournalTruncatedError(
            f"journal {path} begins with event {found.first_event}: events from {seq} on have been removed, a snapshot"
            " covers them; start from the snapshot"
        )
    low, high = 0, len(files)
    while high - low > 1:
        middle = (low + high) // 2
        start = segment_start(files[middle])
        if start is None or start.first_event > seq:
            high = middle
        else:
            low, found = middle, start
    return found


def needless_before(folder: Path, session: int, number: int, event: int, kept_bytes: int) -> int:
    """The entry before which a session's segments are not needed.

    Parameters
    ----------
    number, event : int
        The first entry, and the first event, that somebody needs.
    kept_bytes : int
        What of the session's end is kept in any case.

    Raises
    ------
    JournalError
        When a file cannot be read.
    """
    found = behind = 0
    for path in reversed(segments(folder, session)):
        behind += path.stat().st_size
        start = segment_start(path)
        if start is not None and behind >= kept_bytes and start.first_number <= number and start.first_event <= event:
            found = start.first_number
            break
    return found


def remove_before(folder: Path, session: int, number: int) -> list[Path]:
    """Remove the segments of a session that lie wholly before entry ``number``; the newest one stays in any case.

    They go oldest first, each for good before the next one, so that a crash leaves the journal with an end that is
    whole.

    Returns
    -------
    list of Path
        The files that were removed.

    Raises
    ------
    JournalError
        When a file cannot be read or removed, or the session has none.
    """
    files = segments(folder, session)
    if not files:
        raise JournalError(
            f"journal {journal_path(folder, session)} is missing: nothing can be removed before entry {number}"
        )
    removed: list[Path] = []
    for path, following in pairwise(files):
        start = segment_start(following)
        if start is None or start.first_number > number:
            break
        try:
            os.unlink(path)
        except OSError as error:
            raise JournalError(
                f"journal {path} cannot be removed: {error.strerror}; give this user write permission on the folder"
            ) from error
        sync_folder(folder)
        removed.append(path)
    return removed
