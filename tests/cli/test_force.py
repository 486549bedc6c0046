"""A genome of another assembly is refused by every command that reads one, unless --force is given. Then a line says so."""

import re

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from helpers import toy
from typer.testing import CliRunner

from scbasset_zoo.cli.main import app

MOTIF = """MEME version 4

ALPHABET= ACGT

MOTIF M1 FOO
letter-probability matrix: alength= 4 w= 4
 0.97 0.01 0.01 0.01
 0.01 0.97 0.01 0.01
 0.01 0.01 0.97 0.01
 0.01 0.01 0.01 0.97
"""
# The words of each command; {genome} and {peaks} are those of another assembly.
COMMANDS = {
    "predict": "predict toy --peaks {peaks} --genome {genome} --out out.h5ad --device cpu",
    "add-gauge": "add-gauge bare --peaks {peaks} --genome {genome} --out out",
    "prepare": "prepare {matrix} --assembly hg19 --genome {genome} --out out --test-chroms {test}",
    "denoise": "run denoise toy --peaks {peaks} --genome {genome} --out out.h5ad --device cpu",
    "ism": "run ism toy --regions {peaks} --genome {genome} --out out.nc --device cpu --n-controls 0",
    "motif-insertion": "run motif-insertion toy --peaks {peaks} --genome {genome} --motifs m.meme --out out.h5ad --device cpu "
    "--n-backgrounds 2 --n-shuffles 0",
}
# Names of the chromosomes of a genome for those of the model, and what the message says about them.
GENOMES = {
    "lengths": ({"chr1": "chr1", "chr2": "chr2"}, "chr1 is 20,004 bp"),
    "no chromosome": ({"chr1": "contig1", "chr2": "contig2"}, "this genome has no chromosome of "),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    toy.toy_package(tmp_path / "toy")
    toy.toy_package(tmp_path / "bare", gauge=False)
    toy.toy_genome(tmp_path / "toy.fa")
    (tmp_path / "m.meme").write_text(MOTIF)
    for kind, (names, _) in GENOMES.items():
        letters = (tmp_path / "toy.fa").read_text().replace(">chr2", "ACGT\n>chr2")
        (tmp_path / f"{kind}.fa").write_text(re.sub(r"chr\d", lambda match: names[match[0]], letters))  # noqa: B023
        intervals = [(names[f"chr{number}"], start, start + 500) for number in (1, 2) for start in range(1_000, 8_000, 1_000)]
        pd.DataFrame(intervals).to_csv(tmp_path / f"{kind}.bed", sep="\t", header=False, index=False)
        peaks = pd.DataFrame(index=[f"{chrom}:{start}-{end}" for chrom, start, end in intervals])
        ad.AnnData(np.ones((5, len(peaks)), np.float32), var=peaks).write_h5ad(tmp_path / f"{kind}.h5ad")


@pytest.mark.parametrize("kind", GENOMES)
@pytest.mark.parametrize("command", COMMANDS)
def test_another_assembly_is_refused_unless_forced(command, kind, folder, tmp_path):
    names, problem = GENOMES[kind]
    files = {"genome": f"{kind}.fa", "peaks": f"{kind}.bed", "matrix": f"{kind}.h5ad", "test": names["chr2"]}
    words = [word.format_map(files) for word in COMMANDS[command].split()]
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code == 1
    assert problem in str(refused.exception)
    assert "or use this one with --force." in str(refused.exception)
    assert not list(tmp_path.glob("out*"))
    forced = CliRunner().invoke(app, [*words, "--force"])
    assert forced.exit_code == 0, (forced.output, forced.exception)
    assert problem in forced.stderr
    assert "It is used all the same, because of --force." in forced.stderr
    assert list(tmp_path.glob("out*"))


def test_a_genome_with_more_chromosomes_is_of_the_same_assembly(folder, tmp_path):
    (tmp_path / "more.fa").write_text((tmp_path / "toy.fa").read_text() + ">chr3\nACGT\n")
    words = COMMANDS["predict"].format(genome="more.fa", peaks="lengths.bed").split()
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.exception
    assert "force" not in done.stderr
