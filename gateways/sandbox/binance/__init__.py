"""Binance USD-M futures: how the sandbox speaks as that venue."""
