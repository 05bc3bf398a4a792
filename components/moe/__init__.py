"""Mixtures of experts; they satisfy the contract `FFN`."""

from vlmloom.components.moe.sigmoid_bias import SigmoidBias

__all__ = ["SigmoidBias"]
