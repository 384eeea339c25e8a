"""Backtests: recorded data, exchange models, the compiled loop and its results."""
