"""A folder like that of a GLM checkpoint: a real byte-level BPE with GLM's special tokens and its split."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from vlmloom.components.contracts.marks import GLM_TOKENS

# As in GLM's own tokenizer: digits by threes, line breaks apart from the words behind them.
PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
WORDS = "what is in the picture? well yes hello lines seconds function </think><answer> arguments"
GLM_4_1V = tuple(  # No reasoning, no tools: its images are 151343 where its end of text is 151329.
    token
    for token in GLM_TOKENS
    if token.startswith(("<|", "[", "<sop", "<eop"))
    and not any(word in token for word in ("audio", "transcription", "code", "box"))
)


def glm_engine(
    tokens: tuple[str, ...] = GLM_TOKENS, *, in_vocabulary: bool = False, **options: Any
) -> Tokenizer:
    """Trained on a few words; from `<think>` on its tokens are not flagged special, as in GLM's own."""
    made = Tokenizer(models.BPE(**options))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    first_unflagged = GLM_TOKENS.index("<think>")
    added = [
        AddedToken(token, special=GLM_TOKENS.index(token) < first_unflagged, normalized=False)
        for token in tokens
    ]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=added if in_vocabulary else [],
        show_progress=False,
    )
    made.train_from_iterator([WORDS] * 3, trainer)
    made.add_tokens(added)
    return made


def write_folder(folder: Path, engine: Tokenizer | None = None, **files: Any) -> Path:
    """Write `tokenizer.json` and other files; `a__json={...}` becomes a.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (engine or glm_engine()).save(str(folder / "tokenizer.json"))
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return folder


def configuration(processor_class: str = "") -> dict[str, Any]:
    """A `tokenizer_config.json`."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "processor_class": processor_class,
    }
