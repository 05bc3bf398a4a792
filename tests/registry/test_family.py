"""The family of a component is the folder within its kind's."""

from vlmloom.pipelines.cli import main
from vlmloom.registry import catalog


def test_a_family_is_the_folder_within_the_kind():
    entries = catalog().entries
    assert entries["task/order"].family == "video" and entries["task/box"].family == "perception"
    assert entries["task/folder"].family == entries["projector/mlp"].family == ""


def test_families_are_listed_in_a_column(capsys):
    assert main(["ls", "task"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    column = lines["task/order"].index("video")
    assert lines["task/box"][column:].startswith("perception") and lines["task/folder"][column] == " "
