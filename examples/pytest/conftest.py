"""The fixture `soak`, with which a test soaks a shared library."""

import subprocess

import pytest

PASSED, FAILED, UNDECIDED = 0, 1, 3


@pytest.fixture
def soak(tmp_path):
    """Returns a function that takes a library and further arguments of `dlsoak run`."""

    def run(library, *arguments):
        command = ["dlsoak", "run", str(library), *arguments, "--out", str(tmp_path / "soak")]
        finished = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if finished.returncode == UNDECIDED:
            pytest.skip(f"no verdict is certain\n{finished.stdout}")
        assert finished.returncode == PASSED, finished.stdout

    return run
