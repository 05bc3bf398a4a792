"""`python -m vlmloom` is the `vlmloom` command."""

from vlmloom.pipelines.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
