"""Exchange models: one small file each, shared by paper mode and the backtest."""
