"""Results are complete or absent, and replace only results of the same kind."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from scbasset_zoo import files
from scbasset_zoo.errors import InputError
from scbasset_zoo.files import check_destination, destination, hold, new_file, new_folder


def names_of_run(folder):
    return ["run.json", "tests/expected.npz"] if (folder / "run.json").is_file() else None


def run_folder(path):
    (path / "tests").mkdir(parents=True)
    (path / "run.json").write_text("{}")
    return path


def check_run(path, **more):
    check_destination(path, overwrite=True, replaceable=names_of_run, **more)


def test_a_folder_is_replaced_only_by_its_kind_and_if_it_has_nothing_else(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match="thesis is not a result of this kind"):
        check_run(tmp_path / "thesis")
    (tmp_path / "thesis" / "run.json").write_text("{}")
    with pytest.raises(InputError, match=r"thesis has thesis\.tex, which is not of this result"):
        check_run(tmp_path / "thesis")
    check_run(run_folder(tmp_path / "run"))
    (tmp_path / "empty").mkdir()
    check_run(tmp_path / "empty")
    (tmp_path / "file").write_text("precious")
    with pytest.raises(InputError, match="is not a result of this kind"):
        check_run(tmp_path / "file")


def test_a_file_is_replaced_by_a_file_and_a_folder_only_if_it_is_zarr(tmp_path):
    (tmp_path / "a.h5ad").write_text("old")
    check_destination(tmp_path / "a.h5ad", overwrite=True)
    (tmp_path / "b.zarr" / "X").mkdir(parents=True)
    (tmp_path / "b.zarr" / "X" / ".zarray").write_text("{}")
    with pytest.raises(InputError, match="is not a result of this kind"):
        check_destination(tmp_path / "b.zarr", overwrite=True)
    (tmp_path / "b.zarr" / ".zgroup").write_text("{}")
    check_destination(tmp_path / "b.zarr", overwrite=True)
    (tmp_path / "b.zarr" / "papers").mkdir()
    with pytest.raises(InputError, match=r"b\.zarr has papers"):
        check_destination(tmp_path / "b.zarr", overwrite=True)


def test_devices_and_pipes_are_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/null"):
        with pytest.raises(InputError, match="is not a result of this kind"):
            check_destination(path, overwrite=True)


def test_an_input_is_neither_replaced_nor_written_into(tmp_path):
    run = run_folder(tmp_path / "run")
    matrix = run / "tests" / "expected.npz"
    matrix.write_text("counts")
    (tmp_path / "link").symlink_to(run)
    os.link(matrix, tmp_path / "hard link")
    for source in (run, str(matrix), tmp_path / "link", [None, [matrix]]):
        with pytest.raises(InputError, match="is or contains the input"):
            check_run(run, inputs=[None, source])
    for path in (matrix, tmp_path / "link" / "tests" / "expected.npz", tmp_path / "hard link"):
        with pytest.raises(InputError, match="is or contains the input"):
            check_destination(path, overwrite=True, inputs=[matrix])
    for path in (run / "new.h5ad", tmp_path / "link" / "a" / "new.h5ad"):
        with pytest.raises(InputError, match="lies in the input"):
            check_destination(path, inputs=[run])
    check_destination(tmp_path / "new.h5ad", inputs=[run, matrix, "scbasset/demo", 5, "x" * 5_000])


def test_links_are_written_through_and_dangling_links_refused(tmp_path):
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    with new_file(tmp_path / "link") as partial:
        partial.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"
    (tmp_path / "dangling").symlink_to("absent")
    with pytest.raises(InputError, match="dangling is a symbolic link to absent, which does not exist"):
        check_destination(tmp_path / "dangling", overwrite=True)


def test_a_failure_keeps_the_old_result_and_leaves_nothing_new(tmp_path):
    (tmp_path / "kept").write_text("old")

    def fail_after(writing):
        with writing as partial:
            (partial / "file" if partial.is_dir() else partial).write_text("new")
            raise RuntimeError

    for writing in (new_file(tmp_path / "kept"), new_folder(tmp_path / "folder")):
        with pytest.raises(RuntimeError):
            fail_after(writing)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept").read_text() == "old"


def test_a_second_thread_or_process_is_told_and_the_first_goes_on(tmp_path):
    problems = []

    def write_elsewhere():
        try:
            with new_file(tmp_path / "out") as partial:
                partial.write_text("second")
        except InputError as error:
            problems.append(str(error))

    code = f"from scbasset_zoo.files import hold\nwith hold({str(tmp_path / 'out')!r}): print('held')"
    with destination(tmp_path / "out"), hold(tmp_path / "out"), new_file(tmp_path / "out") as partial:
        partial.write_text("first")
        thread = threading.Thread(target=write_elsewhere)
        thread.start()
        thread.join()
        process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert problems == [f"Another process is writing {tmp_path / 'out'}. Wait until it is done, or choose another name."]
    assert "Another process is writing" in process.stderr
    assert (tmp_path / "out").read_text() == "first"
    write_elsewhere()
    assert (tmp_path / "out").read_text() == "second"
    assert os.listdir(tmp_path) == ["out"]


def test_a_killed_process_holds_nothing_and_its_leftovers_go_away(tmp_path):
    code = (
        "import os, signal\nfrom scbasset_zoo.files import new_folder\n"
        f"with new_folder({str(tmp_path / 'out')!r}) as partial: os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    assert any(name.startswith(".partial-") for name in os.listdir(tmp_path))
    with new_folder(tmp_path / "out"):
        pass
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("at_first", [None, "old"])
def test_what_another_program_wrote_meanwhile_is_not_replaced(at_first, tmp_path):
    if at_first:
        (tmp_path / "out.txt").write_text(at_first)

    def write_while_another_does():
        with new_file(tmp_path / "out.txt") as partial:
            partial.write_text("ours")
            (tmp_path / "theirs").write_text("theirs")
            (tmp_path / "theirs").replace(tmp_path / "out.txt")

    with pytest.raises(InputError, match="was written by another program during this work, so it is not replaced. This result is"):
        write_while_another_does()
    assert (tmp_path / "out.txt").read_text() == "theirs"
    (kept,) = (path for path in tmp_path.iterdir() if path.name != "out.txt")
    assert kept.read_text() == "ours"


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_folder_is_there_while_it_is_replaced_or_comes_back(can_exchange, tmp_path, monkeypatch):
    run = run_folder(tmp_path / "run")
    if not can_exchange:
        monkeypatch.setattr(files, "_exchange", lambda first, second: False)
    with new_folder(run, overwrite=True) as partial:
        (partial / "run.json").write_text("new")
    assert (run / "run.json").read_text() == "new"
    # A process was killed between the two steps.
    run.rename(tmp_path / f".old-{files._digest(run)}")
    with pytest.raises(InputError, match="already exists"):
        check_destination(run)
    assert (run / "run.json").read_text() == "new"
    assert os.listdir(tmp_path) == ["run"]


def test_readers_always_see_a_folder_that_is_replaced(tmp_path):
    run = run_folder(tmp_path / "run")
    missing, done = [], threading.Event()

    def read():
        while not done.is_set():
            if not (run / "run.json").exists():
                missing.append(1)

    thread = threading.Thread(target=read)
    thread.start()
    for _ in range(100):
        with new_folder(run, overwrite=True) as partial:
            (partial / "run.json").write_text("{}")
    done.set()
    thread.join()
    assert missing == []


def test_names_as_long_as_possible_can_be_written(tmp_path):
    path = tmp_path / ("x" * 250 + ".h5ad")
    with new_file(path) as partial:
        partial.write_text("new")
    assert path.read_text() == "new"
