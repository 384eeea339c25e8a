"""A study that says when 20 trials are done, and goes on: ``python -m tests.backtest.optimise.endless FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path

from backtest.optimise.folds import Part
from backtest.optimise.search import Progress
from backtest.optimise.study import run_searches
from tests.backtest.optimise.tasks import Fake, plan_in, valley


def report(progress: Progress) -> None:
    if progress.done == 20:
        sys.stdout.write("20 done\n")
        sys.stdout.flush()


if __name__ == "__main__":
    run_searches(plan_in(Path(sys.argv[1]), trials=400), Part(0, 1_200), Fake(valley), workers=1, report=report)
