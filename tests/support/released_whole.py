"""A tiny checkpoint as it is released: what a conversation with it needs lies beside its weights."""

import pytest
import released
import torch
from glm_folder import GLM_4_1V, configuration, glm_engine, write_folder

TEMPLATE = """[gMASK]<sop>
{%- for message in messages -%}
<|{{ message.role }}|>
{{ '\\n' }}
{%- if message.content is string -%}{{ message.content }}{%- else -%}
{%- for part in message.content -%}
{%- if part.type == 'image' -%}<|begin_of_image|><|image|><|end_of_image|>{%- endif -%}
{%- if part.type == 'text' -%}{{ part.text }}{%- endif -%}
{%- endfor -%}{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}<|assistant|>{{ '\\n' }}{%- endif -%}
"""
BUDGETS = {"shortest_edge": 128, "longest_edge": 2048}


def save(folder, family, dtype=torch.float32):
    """A tiny checkpoint as it is released: model, tokenizer, template, processor, three ways to stop."""
    import transformers

    newer = family != "glm4v"
    whole, image, video = (
        getattr(transformers, f"{'Glm46V' if newer else 'Glm4v'}{what}")
        for what in ("Processor", "ImageProcessor", "VideoProcessor")
    )
    engine = glm_engine() if newer else glm_engine(GLM_4_1V)
    if not newer:
        engine.add_tokens(["<think>", "</think>", "<answer>", "</answer>"])
    vision, words = released.CONFIGS[family]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(released, "IMAGE", engine.token_to_id("<|image|>"))
        model = released.model_of(family, sizes=(vision, {**words, "vocab_size": 512})).to(dtype)
    stops = ["<|endoftext|>", "<|user|>", "<|observation|>", *([] if newer else ["</answer>"])]
    model.generation_config.eos_token_id = [engine.token_to_id(token) for token in stops]
    model.save_pretrained(folder, max_shard_size="1MB")
    sizes = {"patch_size": vision["patch_size"], "size": BUDGETS}
    write_folder(folder, engine, tokenizer_config__json=configuration(whole.__name__))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    processor = whole(image(**sizes), tokenizer, video(**sizes), chat_template=TEMPLATE)
    processor.save_pretrained(folder)
    return model, processor
