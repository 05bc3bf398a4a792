"""Samples to token ids."""
