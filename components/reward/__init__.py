"""Verifiers: what an answer is worth, with a reason."""
