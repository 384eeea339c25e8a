"""Tests of the order side of gateways."""
