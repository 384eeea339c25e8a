"""Execution algorithms: one file each. ``oms.algos.api`` is what they, and users' own, are written with."""
