"""Language backbones."""

from vlmloom.components.language.block import Block
from vlmloom.components.language.cache import KVCache
from vlmloom.components.language.glm import GLM, Layer

__all__ = ["GLM", "Block", "KVCache", "Layer"]
