"""GLM-OCR: CogViT, the merger, and a dense decoder with a multi-token module.

Reference: transformers, models/glm_ocr/modeling_glm_ocr.py; arXiv 2603.10910.
"""

from vlmloom.assemblies.native.families import decoders, towers
from vlmloom.assemblies.native.families.family import MTP, Family, decoder_tables
from vlmloom.assemblies.native.families.layers import all_dense, kind_of, need_dense
from vlmloom.assemblies.native.families.multimodal import OLDER, sizes
from vlmloom.assemblies.native.families.settings import Ours

BLOCK = decoders.GROUPED + decoders.FUSED_FFN

GLM_OCR = Family(
    model_type="glm_ocr",
    architecture="GlmOcrForConditionalGeneration",
    settings=(
        Ours("use", "assembly/native"),
        *towers.COGVIT,
        *towers.MERGER,
        *decoders.grouped(rotation="interleaved", fraction=1.0, sandwich=True, positions=131072),
        Ours("language.qkv_bias", False),
        *decoders.dense("text_config."),
        # The merger is as wide inside as three times its output, whatever config.json says.
        Ours("projector.hidden", lambda value: 3 * value("language.width")),
        Ours(f"{MTP}.use", "head/mmtp"),
    ),
    tables=(*towers.COGVIT_TABLES, *towers.MERGER_TABLES, *decoder_tables(BLOCK, "model.language_model.")),
    read_layers=all_dense,
    write_layers=need_dense,
    layer_kind=kind_of,
    sizes=sizes,
    mtp="head/mmtp",
    older=OLDER,
    skeleton=(
        ("model_type", "glm_ocr"),
        ("vision_config.model_type", "glm_ocr_vision"),
        ("text_config.model_type", "glm_ocr_text"),
    ),
)
