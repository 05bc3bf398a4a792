"""GLM-4.5V and GLM-4.6V: the AIMv2 tower, the merger, and GLM-4.5-Air's mixture of experts.

Reference: transformers, models/glm4v_moe/modeling_glm4v_moe.py; arXiv 2507.01006, 2508.06471.
"""

from vlmloom.assemblies.native.families import decoders, towers
from vlmloom.assemblies.native.families.family import MTP, Family, decoder_tables
from vlmloom.assemblies.native.families.layers import dense_first, kind_of, say_dense_first
from vlmloom.assemblies.native.families.multimodal import OLDER, sizes
from vlmloom.assemblies.native.families.settings import Ours, Setting, Theirs

GLM4V_MOE = Family(
    model_type="glm4v_moe",
    architecture="Glm4vMoeForConditionalGeneration",
    settings=(
        Ours("use", "assembly/native"),
        *towers.AIMV2,
        *decoders.grouped(rotation="half", fraction=0.5, sandwich=False, positions=65536),
        Setting("text_config.attention_bias", "language.qkv_bias", True),
        Theirs("text_config.use_qk_norm", False, written=False),
        *decoders.dense("text_config."),
        *decoders.experts("text_config.", scale=1.0),
        *towers.MERGER,
        Ours(f"{MTP}.use", "head/mmtp"),
    ),
    tables=(
        *towers.AIMV2_TABLES,
        *towers.MERGER_TABLES,
        *decoder_tables(decoders.GROUPED + decoders.EXPERTS, "model.language_model."),
    ),
    read_layers=dense_first,
    write_layers=say_dense_first,
    layer_kind=kind_of,
    sizes=sizes,
    mtp="head/mmtp",
    older=OLDER,
    skeleton=(
        ("model_type", "glm4v_moe"),
        ("vision_config.model_type", "glm4v_moe_vision"),
        ("text_config.model_type", "glm4v_moe_text"),
    ),
)
