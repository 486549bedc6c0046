"""Values come in order from a thread; errors come where their value would; the thread ends with the block."""

import threading
import time

import pytest

from scbasset_zoo.read_ahead import read_ahead


def test_values_come_in_order_and_are_computed_ahead():
    computed = []

    def values():
        for number in range(20):
            computed.append(number)
            yield number

    with read_ahead(values()) as ahead:
        first = next(ahead)
        deadline = time.monotonic() + 10
        while len(computed) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert computed == [0, 1, 2], "one value waits and one is computed, beside the one that was taken"
        assert [first, *ahead] == list(range(20))
    assert list_of_threads() == []


def test_an_error_comes_after_the_values_before_it():
    def values():
        yield 1
        raise KeyError("broken")

    with read_ahead(values()) as ahead:
        assert next(ahead) == 1
        with pytest.raises(KeyError, match="broken"):
            next(ahead)


def test_leaving_the_block_closes_the_values_and_ends_the_thread():
    closed = threading.Event()

    def values():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    def leave_by_ctrl_c():
        with read_ahead(values()) as ahead:
            next(ahead)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        leave_by_ctrl_c()
    assert closed.is_set()
    assert list_of_threads() == []


def test_no_values_are_no_values():
    with read_ahead([]) as ahead:
        assert list(ahead) == []


def list_of_threads():
    return [thread for thread in threading.enumerate() if thread.name == "read-ahead"]
