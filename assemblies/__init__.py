"""assemblies"""

if __name__ != "vlmloom.assemblies":
    raise ImportError("import this package as vlmloom.assemblies")
