"""VLMLoom beside transformers' glm4v_moe, at equal shapes and on equal input: `python -m benchmarks`."""

import os

# As the command line does, before torch is loaded: see `vlmloom.pipelines.cli.main`.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
