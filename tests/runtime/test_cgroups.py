"""Limits of containers and batch systems, of each level and of both versions, in copies of the files that Linux shows."""

import pytest

from scbasset_zoo.runtime.cgroups import cpu_quota, free_memory

V2 = "0::/batch/job_7/step_0\n"
V1 = "5:memory:/slurm/job_7/step_0\n3:cpu,cpuacct:/slurm/job_7\n0::/\n"
GIB = 2**30


@pytest.fixture
def system(tmp_path):
    """Function (groups, files): a root folder with these groups of the process, and these files under /sys/fs/cgroup."""

    def make(groups, files):
        (tmp_path / "proc/self").mkdir(parents=True)
        if groups is not None:
            (tmp_path / "proc/self/cgroup").write_text(groups)
        for name, text in files.items():
            file = tmp_path / "sys/fs/cgroup" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{text}\n")
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("groups", "files", "cores"),
    [
        (None, {"cpu.max": "150000 100000"}, 1),
        ("0::/\n", {"cpu.max": "400000 100000"}, 4),
        ("0::/\n", {"cpu.max": "10000 100000"}, 1),
        ("0::/\n", {"cpu.max": "max 100000"}, None),
        (V2, {"cpu.max": "max 100000", "batch/cpu.max": "800000 100000", "batch/job_7/cpu.max": "300000 100000"}, 3),
        (V2, {"batch/job_7/step_0/cpu.max": "max 100000", "batch/cpu.max": "200000 100000"}, 2),
        # A container that sees its own group as the root.
        (V2, {"cpu.max": "500000 100000"}, 5),
        (V1, {"cpu/cpu.cfs_quota_us": "250000", "cpu/cpu.cfs_period_us": "100000"}, 2),
        (V1, {"cpu/slurm/cpu.cfs_quota_us": "700000", "cpu/slurm/cpu.cfs_period_us": "100000"}, 7),
        (V1, {"cpu/slurm/job_7/cpu.cfs_quota_us": "-1", "cpu/slurm/job_7/cpu.cfs_period_us": "100000"}, None),
        ("0::/../other\n", {"cpu.max": "nonsense"}, None),
        (None, {}, None),
    ],
)
def test_the_smallest_quota_of_all_levels_holds(system, groups, files, cores):
    assert cpu_quota(system(groups, files)) == cores


@pytest.mark.parametrize(
    ("groups", "files", "free"),
    [
        ("0::/\n", {"memory.max": 8 * GIB, "memory.current": 3 * GIB}, 5 * GIB),
        ("0::/\n", {"memory.max": "max", "memory.current": 3 * GIB}, None),
        (
            V2,
            {
                "batch/memory.max": 64 * GIB,
                "batch/memory.current": 63 * GIB,
                "batch/job_7/step_0/memory.max": 8 * GIB,
                "batch/job_7/step_0/memory.current": 2 * GIB,
            },
            1 * GIB,
        ),
        (
            V2,
            {
                "batch/job_7/memory.max": 8 * GIB,
                "batch/job_7/memory.current": 7 * GIB,
                "batch/job_7/memory.stat": f"anon 5\ninactive_file {GIB}",
            },
            2 * GIB,
        ),
        (V1, {"memory/slurm/memory.limit_in_bytes": 4 * GIB, "memory/slurm/memory.usage_in_bytes": GIB}, 3 * GIB),
        (V1, {"memory/memory.limit_in_bytes": GIB, "memory/memory.usage_in_bytes": 2 * GIB}, 0),
        (None, {}, None),
    ],
)
def test_the_smallest_rest_of_memory_of_all_levels_holds(system, groups, files, free):
    assert free_memory(system(groups, files)) == free
