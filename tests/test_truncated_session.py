"""A real core that runs for long: its journal stays bounded, and the session can be replayed and taken on."""

from __future__ import annotations

from pathlib import Path

import pytest

from oms.core.state import new_state
from oms.journal import segments, session_of, sessions
from oms.journal_segments import segment_start
from oms.recovery import definitions_of, recover
from rpc.event_stream import EventStream
from tests.oms.core_process import CoreProcess, core_settings
from tests.test_restarted_core import zoms

pytestmark = pytest.mark.timeout(300)


@pytest.mark.thorough
@pytest.mark.parametrize("inputs", ["all"])
def test_old_segments_go_while_it_runs(tmp_path: Path, inputs: str) -> None:
    small = {"inputs": inputs, "segment_mb": 1, "snapshot_mb": 1, "session_kept_mb": 1, "sync": "batch"}
    settings = core_settings(tmp_path, strategies=[], journal=small)
    with CoreProcess(settings) as core:
        core.start()
        session = session_of(sessions(settings.journal_dir)[-1])

        def first_event() -> int:
            start = segment_start(segments(settings.journal_dir, session)[0])
            return start.first_event if start is not None else 0

        def is_shortened() -> bool:
            core.feed()
            return len(segments(settings.journal_dir, session)) > 0 and first_event() > 0

        core.until(is_shortened)
        stream = EventStream(settings.journal_dir, 0, settings.snapshot_dir)
        assert sum(len(block.records) for block in stream.read_journal()) > 0
        assert stream.complete
        assert stream.covered > 0
        core.kill()
        result = zoms(settings, "replay")
        assert result.returncode == 0, result.stderr
        assert "all as in the journal" in result.stdout
        past = recover(new_state(), definitions_of(settings), settings.snapshot_dir, settings.journal_dir)
        assert past.snapshot is not None
        core.start()
        assert core.stop() == 0
