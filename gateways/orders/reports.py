"""REPORT records: how what became of an order, a position or a balance is told to the core."""

from __future__ import annotations

from typing import Any

import numpy as np

from oms.bus import Records
from oms.records import REPORT, ReportKind


def new_report(kind: ReportKind, **fields: Any) -> Records:
    """One report; what is not named is 0, ``strategy`` is -1."""
    report = np.zeros(1, REPORT)
    report["kind"] = kind
    report["strategy"] = -1
    for name, value in fields.items():
        report[name] = value
    return report
