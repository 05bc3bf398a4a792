"""`python -m vlmloom` is the `vlmloom` command."""

from vlmloom.pipelines.cli import command

if __name__ == "__main__":
    command()
