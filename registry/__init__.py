"""How a name becomes a class and a YAML becomes a model. Imports no torch at module level."""

if __name__ != "vlmloom.registry":
    raise ImportError("import this package as vlmloom.registry")

from vlmloom.registry.register import DuplicateName, register, registered

__all__ = ["DuplicateName", "register", "registered"]
