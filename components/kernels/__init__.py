"""Arithmetic that several kinds share, written so that it costs few passes over memory."""

from vlmloom.components.kernels.linear import Linear, linear
from vlmloom.components.kernels.linear_cross_entropy import linear_cross_entropy
from vlmloom.components.kernels.precision import lowered
from vlmloom.components.kernels.rms_norm import RMSNorm, rms_norm
from vlmloom.components.kernels.swiglu import swiglu

__all__ = ["Linear", "RMSNorm", "linear", "linear_cross_entropy", "lowered", "rms_norm", "swiglu"]
