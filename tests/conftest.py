"""Options of the whole suite."""

import pytest

import fieldgrad.engine as fg


def pytest_addoption(parser):
    """Add --threads."""
    parser.addoption("--threads", type=int, help="threads of the kernels, also beyond the cores")


@pytest.fixture(autouse=True, scope="session")
def threads(request):
    """Use as many threads as asked for; results must not depend on it."""
    if request.config.option.threads:
        fg.set_num_threads(request.config.option.threads)
