"""Stores: the embedded one (SQLite and Parquet) and the recorder that fills it."""
