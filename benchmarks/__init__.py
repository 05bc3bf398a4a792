"""VLMLoom beside transformers' glm4v_moe, at equal shapes and on equal input: `python -m benchmarks`.

Threads are as PyTorch has them; the command line has them sleep sooner (`vlmloom.pipelines.cli.main`).
"""
