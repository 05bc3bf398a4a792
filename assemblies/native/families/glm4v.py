"""GLM-4.1V-9B (glm4v) and GLM-4.6V-Flash (glm46v): the AIMv2 tower, the merger, a dense decoder.

Reference: transformers, models/glm4v/modeling_glm4v.py, models/glm46v/modeling_glm46v.py; arXiv 2507.01006.
"""

from dataclasses import replace

from vlmloom.assemblies.native.families import decoders, towers
from vlmloom.assemblies.native.families.family import MTP, Family, decoder_tables
from vlmloom.assemblies.native.families.layers import all_dense, kind_of, need_dense
from vlmloom.assemblies.native.families.multimodal import OLDER, sizes
from vlmloom.assemblies.native.families.settings import Ours, Setting

GLM4V = Family(
    model_type="glm4v",
    architecture="Glm4vForConditionalGeneration",
    settings=(
        Ours("use", "assembly/native"),
        *towers.AIMV2,
        *decoders.grouped(rotation="interleaved", fraction=1.0, sandwich=True, positions=32768),
        Ours("language.head_size", decoders.head_size),
        Ours("language.qkv_bias", True),
        *decoders.dense("text_config."),
        *towers.MERGER,
        Ours(f"{MTP}.use", "head/mmtp"),
    ),
    tables=(
        *towers.AIMV2_TABLES,
        *towers.MERGER_TABLES,
        *decoder_tables(decoders.GROUPED + decoders.FUSED_FFN, "model.language_model."),
    ),
    read_layers=all_dense,
    write_layers=need_dense,
    layer_kind=kind_of,
    sizes=sizes,
    mtp="head/mmtp",
    older=OLDER,
    skeleton=(
        ("model_type", "glm4v"),
        ("vision_config.model_type", "glm4v_vision"),
        ("text_config.model_type", "glm4v_text"),
    ),
)

GLM46V = replace(
    GLM4V,
    model_type="glm46v",
    architecture="Glm46VForConditionalGeneration",
    # Its configuration alone does not look for it in `text_config`.
    settings=tuple(
        replace(row, theirs="tie_word_embeddings")
        if isinstance(row, Setting) and row.ours == "head.lm.tied"
        else row
        for row in GLM4V.settings
    ),
    skeleton=(("model_type", "glm46v"), *GLM4V.skeleton[1:]),
)
