import pytest
from glm_folder import GLM_4_1V, glm_engine, write_folder

from vlmloom.components.tokenizer.hf import HF


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory):
    """With the tokens of GLM-4.5V and its successors."""
    return HF(folder=str(write_folder(tmp_path_factory.mktemp("glm"))))


@pytest.fixture(scope="session")
def first_tokenizer(tmp_path_factory):
    """With the tokens of GLM-4.1V."""
    return HF(folder=str(write_folder(tmp_path_factory.mktemp("glm41"), glm_engine(GLM_4_1V))))
