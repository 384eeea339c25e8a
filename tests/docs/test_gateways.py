"""The page about live market data: its example runs as it stands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.docs.pages import ROOT, blocks

PAGE = ROOT / "docs" / "gateways.md"
READY_S = 180.0


def test_example_counts_what_the_sandbox_has_sent(tmp_path: Path) -> None:
    (example,) = blocks(PAGE, "python")
    example = example.replace('Path("gateways/', f'Path("{ROOT}/gateways/')
    search = os.pathsep.join([os.fspath(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", example],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": search},
        timeout=READY_S,
    )
    assert done.returncode == 0, done.stderr
    counted = {kind: int(count) for count, kind in (each.split() for each in done.stdout.strip().split(", "))}
    assert {"DEPTH", "TRADE", "QUOTE", "SNAPSHOT"} <= set(counted)
    assert counted["SNAPSHOT"] > 1_000
