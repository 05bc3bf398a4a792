"""Models of others, behind OpenAI-compatible endpoints."""
