"""Heads: hidden states and the batch to a loss."""

from vlmloom.components.head.boundary import Crossing, boundary_bytes
from vlmloom.components.head.lm import LMHead
from vlmloom.components.head.mmtp import MMTPHead
from vlmloom.components.head.mtp import MTPHead

__all__ = ["Crossing", "LMHead", "MMTPHead", "MTPHead", "boundary_bytes"]
