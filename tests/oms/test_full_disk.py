"""A full disk: told apart from other failures, by an exit status where the log has no room for words."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oms.full_disk import LogStream, is_full_disk
from oms.journal import Journal, JournalError
from oms.journal_format import Direction
from oms.lifecycle import NO_SPACE, UNUSABLE
from oms.process import status_of
from oms.records import COMMAND, RecordKind
from tests.full_disk import files_bounded_to

pytestmark = pytest.mark.pure


def test_a_journal_that_has_no_room_any_more_is_a_full_disk(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, 5, "os", "desk", segment_bytes=1 << 26)
    journal.append(RecordKind.COMMAND, Direction.INPUT, np.zeros(1 << 12, COMMAND))
    with files_bounded_to(1 << 16), pytest.raises(JournalError, match="cannot be written") as raised:
        journal.commit()
    assert status_of(raised.value) == NO_SPACE


def wait_until_durable(journal: Journal) -> None:
    while journal.durable() < journal.position:
        pass


@pytest.mark.parametrize("sync", ["batch", "os"])
def test_it_stays_one_whichever_thread_has_found_it_and_however_often_it_is_asked(tmp_path: Path, sync: Any) -> None:
    journal = Journal.create(tmp_path, 5, sync, "desk", segment_bytes=1 << 26)
    journal.append(RecordKind.COMMAND, Direction.INPUT, np.zeros(1 << 12, COMMAND))
    with files_bounded_to(1 << 16):
        with suppress(JournalError):
            journal.commit()
        for _ in range(2):
            with pytest.raises(JournalError) as raised:
                wait_until_durable(journal)
            assert status_of(raised.value) == NO_SPACE
    with suppress(JournalError):
        journal.close()


def test_other_errors_are_none() -> None:
    assert (status_of(JournalError("damaged")), status_of(ValueError("no such thing"))) == (1, UNUSABLE)
    assert not is_full_disk(OSError(13, "permission denied"))
    assert not is_full_disk(None)


def test_a_log_on_a_full_disk_costs_its_lines_and_nothing_else(tmp_path: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    log = LogStream(full)
    assert log.write("lost\n") == 5
    log.flush()
    os.close(full)
    kept = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    log = LogStream(kept)
    log.writelines(["kept\n", "\ud800 too\n"])
    os.close(kept)
    assert (tmp_path / "log").read_text() == "kept\n\\ud800 too\n"
