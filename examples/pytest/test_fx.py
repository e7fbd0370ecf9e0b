"""Builds a library as a package would, and soaks it."""

import os
import pathlib
import subprocess

import pytest


@pytest.fixture(scope="session")
def fx(tmp_path_factory):
    """The library; a package has it beside its modules instead."""
    source = pathlib.Path(__file__).parents[1] / "fx" / "fx.c"
    library = tmp_path_factory.mktemp("build") / "fx.so"
    compiler = os.environ.get("CC", "cc")
    subprocess.run([compiler, "-g", "-shared", "-fPIC", str(source), "-o", str(library)], check=True)
    return library


def test_fx_leaves_nothing_behind(soak, fx):
    soak(fx, "--call", "s = fx_create(3) != null", "--call", "fx_destroy(s)", "--until-decided")
