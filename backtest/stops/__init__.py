"""Stops at the exchange of paper mode and the backtest."""
