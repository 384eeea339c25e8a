"""Looking for a strategy's parameters: searches over backtests, out-of-sample tests, a check for over-fitting."""
