"""TensorFlow is imported quietly, with an allocator that keeps freed memory."""

import os
import subprocess
import sys

import pytest

from scbasset_zoo.training import tensorflow_setup

COUNT_FAULTS = """
import os, resource, sys
import numpy as np
from scbasset_zoo.training.tensorflow_setup import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()
for _ in range(3):
    np.ones(16 << 20, np.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(16 << 20, np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(what, **environment):
    # Without huge pages, each page of 4 KiB that the kernel clears is one fault.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")} | environment
    command = [sys.executable, "-c", COUNT_FAULTS, what]
    return int(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(tensorflow_setup.platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_freed_memory_is_reused_without_page_faults_unless_the_user_chose_otherwise():
    kept, by_user = page_faults("keep"), page_faults("keep", MALLOC_MMAP_THRESHOLD_="1048576")
    assert kept < 1_000
    assert by_user > 20 * kept


def test_other_c_libraries_are_left_alone(monkeypatch):
    def fail(*arguments):
        raise AssertionError("the C library was called")

    monkeypatch.setattr(tensorflow_setup.platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(tensorflow_setup.ctypes, "CDLL", fail)
    tensorflow_setup.keep_freed_memory()


COUNT_FAULTS_OF_TENSORS = """
import resource
from scbasset_zoo.training.tensorflow_setup import require_tensorflow

require_tensorflow()
import tensorflow as tf

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

step = tf.function(lambda x: tf.reduce_sum(tf.exp(x)) + tf.reduce_sum(tf.sigmoid(x)), autograph=False)
# Buffers of 2 MiB, which glibc takes from heaps of threads, and of 80 MiB, which do not fit into these.
for size in (512 << 10, 20 << 20):
    x = tf.zeros(size)
    for _ in range(5):
        step(x)
    before = faults()
    for _ in range(20):
        step(x)
    print(faults() - before)
"""


def page_faults_of_tensors(**environment):
    done = subprocess.run(
        [sys.executable, "-c", COUNT_FAULTS_OF_TENSORS], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    return [int(line) for line in done.stdout.split()]


@pytest.mark.skipif(sys.platform != "linux", reason="page faults are counted on Linux")
def test_memory_of_tensors_is_reused_without_page_faults_unless_the_user_chose_otherwise():
    kept, by_user = (
        page_faults_of_tensors(),
        # With oneDNN, which TensorFlow chooses by the processor, it takes another allocator.
        page_faults_of_tensors(TF_CPU_ALLOCATOR_USE_BFC="false", MALLOC_TRIM_THRESHOLD_="131072", TF_ENABLE_ONEDNN_OPTS="0"),
    )
    assert max(kept) < 2_000
    assert by_user[1] > 20_000


HELD = """
import os
from scbasset_zoo.training.tensorflow_setup import _stderr_on_failure_only

with _stderr_on_failure_only():
    os.write(2, b"what the library says")
    {end}
os.write(2, b"after")
"""


@pytest.mark.parametrize(
    ("end", "printed"),
    [("pass", "after"), ("os.abort()", "what the library says"), ("raise SystemExit", "what the library says")],
)
def test_what_a_library_prints_is_shown_if_it_ends_the_process_and_only_then(end, printed):
    done = subprocess.run([sys.executable, "-c", HELD.format(end=end)], capture_output=True, text=True, check=False)
    assert done.stderr == printed
