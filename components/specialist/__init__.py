"""Specialists: the senses of the cascade, from pixels to structured things."""
