import pytest

from vlmloom.components.task.suite import Nano


@pytest.fixture(scope="session")
def suite():
    """The nano suite with what is installed."""
    suite = Nano()
    suite.prepare()
    return suite
