"""configs"""

if __name__ != "vlmloom.configs":
    raise ImportError("import this package as vlmloom.configs")
