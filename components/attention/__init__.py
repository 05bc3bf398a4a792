"""Attention backends: packed tokens, a description of the mask, and nothing of size T x T."""

from vlmloom.components.attention.auto import Auto
from vlmloom.components.attention.flex import Flex
from vlmloom.components.attention.sdpa import SDPA
from vlmloom.components.attention.varlen import Varlen
from vlmloom.components.attention.xformers import XFormers

__all__ = ["SDPA", "Auto", "Flex", "Varlen", "XFormers"]
