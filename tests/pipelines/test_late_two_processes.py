"""SigLIP 2's late terms in two processes: every parameter has its gradient, and shards change nothing."""

import pytest
from two_processes import two


def test_late_terms_begin_in_two_processes_and_in_shards(tmp_path):
    found = two(tmp_path, "late", "late_in_shards")
    plain, shards = found["late"], found["late_in_shards"]
    assert plain[0] == plain[1] and shards[0] == shards[1] and len(plain[0]) > 6
    # The terms come on top of the others where 0.4 of the stage are done.
    assert min(plain[0][3:]) > max(plain[0][:3]) + 1
    assert shards[0] == pytest.approx(plain[0], rel=1e-6)
