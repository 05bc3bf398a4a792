"""The parts: `contracts/` says what a kind is, every other folder holds the components of one kind."""

if __name__ != "vlmloom.components":
    raise ImportError("import this package as vlmloom.components")
