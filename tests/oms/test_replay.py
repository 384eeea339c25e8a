"""Replaying a journal of requests and reports: the state comes out as it was, or the difference is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from oms.durable import differences
from tests.oms.journalled import JournalledRig, random_steps, rebuilt, run


@pytest.mark.parametrize("external", [True, False])
@pytest.mark.parametrize("seed", range(20))
def test_replay_rebuilds_the_state_of_any_session(tmp_path: Path, seed: int, external: bool) -> None:
    live = JournalledRig(tmp_path, segment_bytes=40_000, external=external, latency_ns=seed % 3 * 1_500_000)
    run(live, random_steps(seed, 400))
    again, done = rebuilt(live, tmp_path)
    assert list(differences(live.st, again.st, every_input=False)) == []
    assert done.event_seq == live.s["event_seq"]
    assert done.events == len(live.events)
