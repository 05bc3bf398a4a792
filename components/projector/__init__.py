"""Projectors: features to the language's width."""
