"""Liquidation: what the exchange of paper mode and the backtest does when a maintenance margin is reached."""
