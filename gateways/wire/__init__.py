"""Recorded streams of venues other than Binance: their messages as TICK records. ``backtest.data`` reads them."""
