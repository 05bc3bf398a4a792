"""Attention backends: packed tokens, a description of the mask, and nothing of size T x T."""

from vlmloom.components.attention.sdpa import SDPA

__all__ = ["SDPA"]
