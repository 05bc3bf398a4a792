"""Whole models made of components, and the YAMLs that name them."""

if __name__ != "vlmloom.assemblies":
    raise ImportError("import this package as vlmloom.assemblies")
