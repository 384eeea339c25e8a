"""What holds for the whole suite: small states, no deadlines, a full compile cache for workers, long files first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.oms.command_line import Zoms

HUGE_PAGES = "NUMPY_MADVISE_HUGEPAGE"
"""NumPy reads it once, when it is imported; 0: an array takes memory by the small page, as it is touched."""

_before = os.environ.get(HUGE_PAGES)
os.environ[HUGE_PAGES] = "0"  # a state is 84 MB, nearly all of it untouched, and tests make thousands
import numpy  # noqa: E402

del os.environ[HUGE_PAGES]  # the processes that tests start run as they would for a user
if _before is not None:
    os.environ[HUGE_PAGES] = _before
_ = numpy

EXAMPLES = 12 if os.environ.get("NUMBA_DISABLE_JIT") else 40
"""Of a property: as plain Python each takes far longer, and those of the same test compiled are tried too."""

settings.register_profile("patient", deadline=None, max_examples=EXAMPLES)  # a busy machine is no failure
settings.load_profile("patient")


@pytest.hookimpl(optionalhook=True)  # a run without the plugin has no workers
def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """Before the first worker starts, compile what several of them would each compile otherwise."""
    if not os.environ.get("NUMBA_DISABLE_JIT"):
        subprocess.run([sys.executable, "-m", "tests.compile_cache"], cwd=config.rootpath, check=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that ask for a longer timeout: no worker is left alone with one of them at the end."""
    long_files = {item.path for item in items if item.get_closest_marker("timeout")}

    def is_short(item: pytest.Item) -> bool:
        return item.path not in long_files

    items.sort(key=is_short)


@pytest.fixture
def zoms(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Zoms:
    """The command line, on a data folder of its own."""
    from tests.oms.command_line import Zoms

    return Zoms(tmp_path, capsys, monkeypatch)
