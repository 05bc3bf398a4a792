import pytest

from vlmloom.components.task.suite import Nano


@pytest.fixture(scope="session")
def world():
    return Nano(shift=[]).world
