"""Experiments and claims, as data only."""

if __name__ != "vlmloom.configs":
    raise ImportError("import this package as vlmloom.configs")
