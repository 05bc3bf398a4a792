"""Procedures over assemblies, and the command line."""

if __name__ != "vlmloom.pipelines":
    raise ImportError("import this package as vlmloom.pipelines")
