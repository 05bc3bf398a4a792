"""Mixtures of experts; they satisfy the contract `FFN`."""

from vlmloom.components.moe.megablocks import MegaBlocks
from vlmloom.components.moe.sigmoid_bias import SigmoidBias

__all__ = ["MegaBlocks", "SigmoidBias"]
