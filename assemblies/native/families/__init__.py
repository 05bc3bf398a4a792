"""Architectures of released checkpoints: how config.json and tensors correspond to ours."""

from vlmloom.assemblies.native.families.family import Family
from vlmloom.assemblies.native.families.glm4v import GLM4V, GLM46V
from vlmloom.assemblies.native.families.glm4v_moe import GLM4V_MOE
from vlmloom.assemblies.native.families.glm_moe_dsa import GLM_MOE_DSA
from vlmloom.assemblies.native.families.glm_ocr import GLM_OCR

FAMILIES: dict[str, Family] = {
    family.model_type: family for family in (GLM_OCR, GLM4V, GLM46V, GLM4V_MOE, GLM_MOE_DSA)
}
"""By the `model_type` of config.json."""

__all__ = ["FAMILIES", "Family"]
