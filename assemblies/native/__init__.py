"""The native design."""

from vlmloom.assemblies.native.native import Native

__all__ = ["Native"]
