"""Tests of the package, against the real program."""
