"""How a name becomes a class and a YAML becomes a model. Imports no torch at module level."""

if __name__ != "vlmloom.registry":
    raise ImportError("import this package as vlmloom.registry")

from vlmloom.registry.build import build, build_as, save, saved
from vlmloom.registry.catalog import catalog, resolve
from vlmloom.registry.compose import Composed, compose
from vlmloom.registry.errors import ConfigError, UserError
from vlmloom.registry.hints import ArgumentsOf
from vlmloom.registry.register import DuplicateName, name_of, register, registered
from vlmloom.registry.walk import check

__all__ = [
    "ArgumentsOf",
    "Composed",
    "ConfigError",
    "DuplicateName",
    "UserError",
    "build",
    "build_as",
    "catalog",
    "check",
    "compose",
    "name_of",
    "register",
    "registered",
    "resolve",
    "save",
    "saved",
]
