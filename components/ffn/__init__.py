"""Dense feed-forward blocks."""

from vlmloom.components.ffn.swiglu import SwiGLU

__all__ = ["SwiGLU"]
