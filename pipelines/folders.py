"""What lies in the folder of a run, and of an imported checkpoint, by name."""

from __future__ import annotations

from pathlib import Path

from vlmloom.registry.errors import UserError

WEIGHTS = "model.safetensors"
"""Weights in one file; larger ones are shards with an index."""
INDEX = "model.safetensors.index.json"
TOKENIZER = "tokenizer.json"
TOKENIZER_FILES = (TOKENIZER, "tokenizer_config.json", "chat_template.jinja", "generation_config.json")
"""What a run keeps of its tokenizer, as far as there is any."""
CONFIG = "config.yaml"
"""The experiment: of a run, resolved; of an import, what it is asked about."""
ASSEMBLY = "assembly.yaml"
"""The model alone, where it was imported."""
CARRIED = "hf"
"""The files that came beside an imported checkpoint's weights."""


def assembly_file(folder: Path) -> Path:
    """The YAML that says what a run or an import is made of.

    Raises:
        UserError: the folder has none.
    """
    for name in (ASSEMBLY, CONFIG):
        if (folder / name).is_file():
            return folder / name
    found = f"has neither {ASSEMBLY} nor {CONFIG}" if folder.is_dir() else missing(folder)
    raise UserError(f"{folder}: {found}; the folder of a run or of an import would be right")


def missing(folder: Path) -> str:
    """Why what is no folder cannot be read as one."""
    return "is a file" if folder.exists() else "is not there"


def words_folder(folder: Path) -> Path:
    """Where the tokenizer of a run or an import lies."""
    return folder / CARRIED if (folder / CARRIED).is_dir() else folder
