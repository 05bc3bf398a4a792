"""Standardisation of a teacher's features."""
