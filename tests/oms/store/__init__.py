"""Tests of the store and the recorder."""
