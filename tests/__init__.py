"""Tests; a package by name, so that no other `tests` that is installed stands in its place."""
