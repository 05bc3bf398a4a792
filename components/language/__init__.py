"""Language backbones."""

from vlmloom.components.language.backbone import Layer
from vlmloom.components.language.block import Block
from vlmloom.components.language.cache import KVCache
from vlmloom.components.language.glm import GLM
from vlmloom.components.language.glm_dsa import GLMDSA
from vlmloom.components.language.hf import HF

__all__ = ["GLM", "GLMDSA", "HF", "Block", "KVCache", "Layer"]
