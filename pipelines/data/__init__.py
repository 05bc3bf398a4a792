"""Samples to packed batches."""
