"""Answers to rewards: from a file, or over HTTP, by the same code."""
