"""Heads: hidden states and the batch to a loss."""

from vlmloom.components.head.lm import LMHead

__all__ = ["LMHead"]
