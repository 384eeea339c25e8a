"""Hypothesis does less where every kernel runs as plain Python."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from oms.compiled import JIT

settings.register_profile("compiled", max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("pure", settings.get_profile("compiled"), max_examples=8)
settings.load_profile("compiled" if JIT else "pure")
