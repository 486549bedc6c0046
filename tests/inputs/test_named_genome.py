"""Genomes by name: downloaded once from a server, checked, and used from the cache."""

import hashlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from helpers.twobit import write_twobit
from helpers.zoo_server import Server
from typer.testing import CliRunner

from scbasset_zoo.cli.main import app
from scbasset_zoo.errors import InputError, SourceError
from scbasset_zoo.inputs.dna import decode
from scbasset_zoo.inputs.genome import Genome
from scbasset_zoo.inputs.named_genome import genome_name


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SCBASSET_ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache" / "genomes"


@pytest.fixture
def server(tmp_path, monkeypatch, toy_sequences, cache):
    """A mirror of UCSC with the genome toy9."""
    folder = tmp_path / "mirror"
    (folder / "toy9" / "bigZips").mkdir(parents=True)
    path = write_twobit(folder / "toy9" / "bigZips" / "toy9.2bit", toy_sequences)
    digest = hashlib.md5(path.read_bytes()).hexdigest()
    (path.parent / "md5sum.txt").write_text(f"{'0' * 32}  toy9.fa.gz\n{digest}  toy9.2bit\n")
    with Server(folder) as server:
        monkeypatch.setenv("SCBASSET_ZOO_GENOMES", f"{server.url}/")
        yield server


FILE, SUMS = "toy9/bigZips/toy9.2bit", "toy9/bigZips/md5sum.txt"


def test_a_genome_is_downloaded_once_and_used_from_then_on(server, cache, toy_sequences, capsys):
    genome = Genome("toy9")
    assert (genome.name, genome.path) == ("toy9", cache / "toy9.2bit")
    assert decode(genome.codes("chr1", 0, 500)) == toy_sequences["chr1"][:500].upper()
    assert f"downloading {server.url}/{FILE} once into {cache / 'toy9.2bit'}" in capsys.readouterr().err
    before = list(server.requests)
    assert decode(Genome(Path("toy9")).codes("chr1", 0, 500)) == toy_sequences["chr1"][:500].upper()
    assert server.requests == before
    assert [path.name for path in cache.iterdir()] == ["toy9.2bit"]


def test_a_file_of_that_name_goes_first(server, cache, toy_fasta, tmp_path):
    (tmp_path / "toy9").write_bytes(toy_fasta.read_bytes())
    genome = Genome("toy9")
    assert (genome.name, genome.path) == (None, Path("toy9"))
    assert not server.requests


@pytest.mark.parametrize(
    "text", ["hg38.fa", "../x", "a/b", "/hg38", "~hg38", "x", "hg38 ", "hg-38", "1000", "é9é", "hg38\n", "a" * 60, "."]
)
def test_what_is_no_name_is_a_path(cache, text):
    assert genome_name(text) is None
    with pytest.raises(InputError, match="There is no FASTA file|cannot be read"):
        Genome(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [("hg38", "hg38"), ("GRCh38", "hg38"), ("GRCh38.p14", "hg38"), ("MM10", "mm10"), ("rn7", "rn7"), ("T2T-CHM13v2.0", "hs1")],
)
def test_names(cache, text, name):
    assert genome_name(text) == name


def test_two_processes_download_once(server, cache):
    server.pause = 0.005
    code = "import sys; from scbasset_zoo.inputs.genome import Genome; print(len(Genome('toy9').chromosome_sizes))"
    running = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[0] for process in running] == ["3\n", "3\n"]
    assert [path for path, _ in server.requests].count(FILE) == 1


def refused(cache, error, message):
    with pytest.raises(error, match=message):
        Genome("toy9")
    assert not cache.exists() or not list(cache.iterdir())


def test_a_wrong_checksum(server, cache):
    server.replaced[FILE] = b"something else"
    refused(
        cache, InputError, r"does not have the expected checksum and was deleted: expected MD5 \w{32}, found \w{32}.*Other ways"
    )


def test_a_download_that_breaks_off(server, cache):
    server.drops[FILE] = [5_000]
    refused(cache, SourceError, "toy9.2bit cannot be downloaded: the connection broke off; try again. Nothing half-written stays")
    assert Genome("toy9").chromosome_sizes


def test_a_server_that_fails(server, cache):
    server.statuses[FILE] = [503]
    refused(cache, SourceError, "the server answered 503.*download toy9.2bit on another machine and give its path")


def test_a_name_that_the_server_does_not_know(server, cache):
    with pytest.raises(
        InputError, match=r"There is no file mm11 here, and no genome mm11 at .*Did you mean 'mm10'\? Give the path"
    ):
        Genome("mm11")


def test_a_genome_without_a_checksum(server, cache):
    (server.folder / SUMS).write_text(f"{'0' * 32}  other.2bit\n")
    refused(cache, InputError, "md5sum.txt has no line for toy9.2bit")
    (server.folder / SUMS).unlink()
    refused(cache, InputError, "no genome toy9")


def test_a_known_genome_that_the_mirror_changed(server, cache):
    (server.folder / "hg38" / "bigZips").mkdir(parents=True)
    (server.folder / "hg38" / "bigZips" / "md5sum.txt").write_text(f"{'0' * 32}  hg38.2bit\n")
    with pytest.raises(InputError, match=f"has the MD5 {'0' * 32}, but UCSC's has dcc3ea27079aa6dc3f9deccd7275e0f8"):
        Genome("GRCh38")


def test_offline(cache, monkeypatch):
    monkeypatch.setenv("SCBASSET_ZOO_GENOMES", "http://127.0.0.1:9")
    refused(
        cache,
        SourceError,
        "There is no file toy9 here, and http.*: this machine is offline, or the server cannot be reached.*set "
        "SCBASSET_ZOO_GENOMES to a mirror",
    )


def test_what_a_killed_download_left_is_removed(server, cache):
    server.pause = 0.05
    code = "from scbasset_zoo.inputs.genome import Genome; Genome('toy9')"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    while not list(cache.glob(".partial-*")):
        time.sleep(0.02)
    process.kill()
    process.wait()
    server.pause = 0
    Genome("toy9")
    assert [path.name for path in cache.iterdir()] == ["toy9.2bit"]


@pytest.mark.parametrize("file", ["toy9.2bit", "toy9.fa", "toy9.fa.gz", "toy9/bigZips/toy9.2bit"])
def test_a_folder_in_place_of_a_server(cache, tmp_path, monkeypatch, toy_sequences, write_fasta, file):
    path = tmp_path / "genomes" / file
    path.parent.mkdir(parents=True)
    write_twobit(path, toy_sequences) if path.suffix == ".2bit" else write_fasta(path, toy_sequences)
    monkeypatch.setenv("SCBASSET_ZOO_GENOMES", str(tmp_path / "genomes"))
    genome = Genome("toy9")
    assert (genome.name, genome.path) == ("toy9", path)
    assert not cache.exists()
    with pytest.raises(
        InputError, match="There is no file rn7 here, and the folder of SCBASSET_ZOO_GENOMES, .*genomes, has no rn7.2bit"
    ):
        Genome("rn7")


def test_an_address_that_is_no_address(cache, monkeypatch):
    monkeypatch.setenv("SCBASSET_ZOO_GENOMES", "ftp://somewhere")
    with pytest.raises(InputError, match="begins with https:// or http://, or a folder"):
        Genome("toy9")


def test_the_command_prints_the_path(server, cache):
    done = CliRunner().invoke(app, ["genome", "get", "toy9"])
    assert done.stdout == f"{cache / 'toy9.2bit'}\n"
    done = CliRunner().invoke(app, ["genome", "get", "../toy9"])
    assert "is no name of an assembly" in str(done.exception)


def test_a_file_that_was_damaged_in_the_cache(server, cache):
    path = Genome("toy9").path
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InputError, match="toy9.2bit is damaged or was cut short.*delete it there, and it is downloaded again"):
        Genome("toy9")
    path.unlink()
    assert Genome("toy9").chromosome_sizes


def test_many_threads_download_once(server, cache):
    threads = [threading.Thread(target=Genome, args=("toy9",)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path for path, _ in server.requests].count(FILE) == 1
    assert os.listdir(cache) == ["toy9.2bit"]
