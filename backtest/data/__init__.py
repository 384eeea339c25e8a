"""Market data of a backtest: files of several formats as streams of TICK records, merged by time and checked."""
