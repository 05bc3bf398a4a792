"""components"""

if __name__ != "vlmloom.components":
    raise ImportError("import this package as vlmloom.components")
