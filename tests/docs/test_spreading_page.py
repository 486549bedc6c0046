"""The script for SLURM in the page on spreading runs, with the variable that SLURM sets."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import xarray as xr
from helpers import toy

PAGE = Path(__file__).parents[2] / "docs" / "spreading.md"


@pytest.mark.slow
def test_the_slurm_script_and_the_merge_run(tmp_path):
    toy.toy_package(tmp_path / "MODEL")
    toy.toy_genome(tmp_path / "hg38.fa")
    (tmp_path / "peaks.bed").write_text("".join(f"chr1\t{start}\t{start + 500}\n" for start in range(1_000, 6_400, 900)))
    page = PAGE.read_text()
    script = re.search(r"```bash\n(#!/bin/bash\n.*?)```", page, re.DOTALL)[1].replace("1-20", "1-2").replace("/20", "/2")
    merge = re.search(r"^scbasset-zoo merge .*$", page, re.MULTILINE)[0]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

    def run(text, **more):
        command = ["bash", "-euc", text.replace(" MODEL ", " ./MODEL ")]
        done = subprocess.run(command, cwd=tmp_path, env=environment | more, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    for task in ("1", "2"):
        run(script, SLURM_ARRAY_TASK_ID=task)
    run(merge)
    assert (tmp_path / "ism.html").stat().st_size > 10_000
    assert xr.open_zarr(tmp_path / "ism.zarr").sizes["region"] == 6
