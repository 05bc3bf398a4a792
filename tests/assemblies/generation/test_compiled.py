"""Decoding by a compiled program: the same tokens, and one program for every length of context."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
import torch
from tiny import DENSE, native, pack, prompt

from vlmloom.components.moe import SigmoidBias
from vlmloom.registry.errors import UserError

NEVER = -1

PROGRAM = """
import json, sys
from tiny import native, pack, prompt
from torch._dynamo.utils import counters

case = json.loads(sys.argv[1])
model = native(glm=case["glm"])
batch = pack(model, [prompt(5, seed=1), prompt(2, (2, 3), 4, seed=2), prompt(17, seed=4)])
for limit in case["limits"]:
    wanted = model.generate(batch, stop=-1, limit=limit)
    same = model.generate(batch, stop=-1, limit=limit, compiled=True) == wanted
    print(json.dumps([same, counters["stats"]["unique_graphs"], list(counters["graph_break"])]))
"""


def compiled(limits, **glm):
    """Greedy answers with and without a compiled program, in a process whose calls no test watches.

    For each limit in turn: whether they are the same, how many programs there are, where one was cut.
    """
    if not (shutil.which("g++") or shutil.which("clang++")):
        pytest.skip("no C++ compiler: install g++")
    case = json.dumps({"glm": glm, "limits": limits})
    path = os.pathsep.join([str(Path(tiny.__file__).parent), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, case],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_one_program_gives_the_same_tokens_at_every_length():
    # A longer context, and a larger cache, are no reason to compile again.
    assert compiled([9, 30]) == [[True, 1, []]] * 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "glm", [{}, {"sandwich_norm": True, "rotation": "interleaved"}, {"qk_norm": True}], ids=str
)
def test_rows_that_leave_and_other_blocks(glm):
    # Programs for three rows, for any number of rows, and for one row.
    assert compiled([[3, 12, 7]], **glm) == [[True, 3, []]]


def test_weights_looked_up_give_what_sorted_rows_give():
    torch.manual_seed(0)
    for limit in (None, 0.05):
        mixture = SigmoidBias(width=12, experts=6, top_k=3, hidden=8, shared=None, limit=limit)
        x = torch.randn(5, 12)
        _, chosen, shares = mixture.route(x)
        wanted, _ = mixture(x, [5])
        torch.testing.assert_close(mixture.experts.of_few(x, chosen, shares, limit), wanted)
        for rows in (x, x[:1], x[:0]):
            torch.testing.assert_close(mixture.infer(rows), mixture(rows, [len(rows)])[0])


def test_what_cannot_be_compiled_is_refused(monkeypatch):
    batch = pack(native(), [prompt(5)])
    with pytest.raises(ValueError, match="found speculative too"):
        native().generate(batch, stop=NEVER, speculative=1, compiled=True)
    selective = native([DENSE], dsa=True)
    with pytest.raises(ValueError, match="found language/glm_dsa; language/glm would be right"):
        selective.generate(pack(selective, [prompt(5)]), stop=NEVER, compiled=True)
    cpp_builder = pytest.importorskip("torch._inductor.cpp_builder")
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", ("/no/such/compiler",))
    cpp_builder.cpp_compiler_search.cache_clear()
    with pytest.raises(UserError, match="found no C\\+\\+ compiler"):
        native().generate(batch, stop=NEVER, compiled=True)
