"""The adapter design."""

from vlmloom.assemblies.adapter.adapter import Adapter

__all__ = ["Adapter"]
