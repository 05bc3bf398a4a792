"""The tests run with the annotated shapes checked; this is the proof that they are."""

import pytest
import torch
from jaxtyping import TypeCheckError

from vlmloom.components.ffn import SwiGLU


def test_a_wrong_number_of_axes_is_refused() -> None:
    block = SwiGLU(width=4, hidden=8)
    block(torch.randn(3, 4), [3])
    with pytest.raises(TypeCheckError, match="tokens width"):
        block(torch.randn(2, 3, 4), [6])
