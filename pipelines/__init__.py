"""pipelines"""

if __name__ != "vlmloom.pipelines":
    raise ImportError("import this package as vlmloom.pipelines")
