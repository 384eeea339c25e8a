"""Benchmarks: each measures its reference in the same run. `python -m benchmarks NAME [--json]`."""
