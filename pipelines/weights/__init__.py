"""Weights on disk: shards with checksums, released checkpoints in and out."""
