"""VLMLoom beside transformers' glm4v_moe, at equal shapes and on equal input: `python -m benchmarks`."""
