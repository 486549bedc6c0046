"""Plugins of other distributions run on the command line, installed by pip with the project's wheel into a new environment."""

import ast
import gzip
import importlib
import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import anndata as ad
import numpy as np
import onnx
import onnxruntime
import pytest
from helpers import toy
from onnx import numpy_helper

import scbasset_zoo as sz
from scbasset_zoo import plugin_manager
from scbasset_zoo.inputs import dna

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "plugins.md"
BEFORE = 672


@pytest.fixture(scope="module")
def page_plugin(tmp_path_factory):
    """The distribution that docs/plugins.md makes, as it says."""
    folder = tmp_path_factory.mktemp("page") / "my-plugin"
    folder.mkdir()
    text = PAGE.read_text()
    (folder / "pyproject.toml").write_text(re.search(r"```toml\n(\[build-system\].*?)```", text, re.DOTALL)[1])
    section = text.partition("### register_analyses\n")[2].partition("\n### ")[0]
    (folder / "my_plugin.py").write_text(re.search(r"```python\n(.*?)```", section, re.DOTALL)[1])
    return folder


@pytest.fixture(scope="module")
def command(tmp_path_factory, page_plugin):
    """Function (*arguments): run scbasset-zoo in an environment of the wheels, with the dependencies of this one."""
    folder = tmp_path_factory.mktemp("environment")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    sources = [ROOT, ROOT / "plugins" / "example", page_plugin]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder / "wheels", *sources]
    subprocess.run(list(map(str, [*pip, *build])), check=True)
    venv.create(folder / "env", with_pip=False)
    python = folder / "env" / "bin" / "python"
    wheels = sorted((folder / "wheels").glob("*.whl"))
    assert len(wheels) == 3
    subprocess.run(list(map(str, [*pip, "--python", python, "install", "--no-deps", "--no-index", *wheels])), check=True)
    own = next((folder / "env" / "lib").glob("python*/site-packages"))
    (own / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "SCBASSET_ZOO_PLUGINS")}
    where = subprocess.run(
        [python, "-c", "import scbasset_zoo; print(scbasset_zoo.__file__)"],
        cwd=folder,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert where.stdout.startswith(str(own)), where.stdout

    def run(*arguments):
        program = python.with_name("scbasset-zoo")
        line = list(map(str, [program, *arguments]))
        return subprocess.run(line, cwd=folder, capture_output=True, text=True, env=environment | {"COLUMNS": "200"})

    return run


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return toy.toy_package(tmp_path_factory.mktemp("model") / "toy", n_cells=9)


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    return toy.toy_genome(tmp_path_factory.mktemp("genome") / "toy.fa")


@pytest.fixture(scope="module")
def chromosomes(genome):
    parts = genome.read_text().split(">")[1:]
    return {part.split("\n")[0]: "".join(part.split("\n")[1:]) for part in parts}


@pytest.fixture(scope="module")
def variants(chromosomes):
    """(chromosome, position from 1, REF, ALT): SNVs, a substitution of two, insertions, deletions, one near an end."""
    rows = []
    for chrom, position, n_ref, alt in (
        ("chr1", 5_000, 1, None),
        ("chr1", 20, 1, None),
        ("chr2", 8_990, 2, "AC"),
        ("chr2", 4_000, 1, "ACGTACGT"),
        ("chr1", 7_000, 30, "G"),
        ("chr1", 9_000, 3, "TTAGA"),
    ):
        ref = chromosomes[chrom][position - 1 : position - 1 + n_ref]
        rows.append((chrom, position, ref, alt or {"A": "C", "C": "G", "G": "T", "T": "A"}[ref]))
    return rows


def write_vcf(path, rows):
    lines = ["##fileformat=VCFv4.3", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
    lines += [f"{chrom}\t{position}\t.\t{ref}\t{alt}\t.\tPASS\t." for chrom, position, ref, alt in rows]
    text = "\n".join(lines) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def logits(package, sequences):
    session = onnxruntime.InferenceSession(str(package.folder / "model.onnx"), providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"sequence": dna.one_hot(dna.as_codes(sequences))})[0]


def test_variant_effects_are_differences_of_logits_of_plain_onnxruntime(command, package, genome, chromosomes, variants, tmp_path):
    vcf = write_vcf(tmp_path / "v.vcf.gz", [*variants[:-1], (*variants[-1][:3], f"{variants[-1][3]},A")])
    out = tmp_path / "effects.h5ad"
    options = ["--vcf", vcf, "--genome", genome, "--out", out, "--device", "cpu", "--plot", tmp_path / "figures"]
    ran = command("run", "variant-effect", package.folder, *options, "--report", tmp_path / "r.html")
    assert ran.returncode == 0, ran.stderr
    assert f"{out}: variant-effect, 3 x 7" in ran.stdout
    result = ad.read_h5ad(out)
    references, alternatives = [], []
    for chrom, position, ref, alt in [*variants, (*variants[-1][:3], "A")]:
        whole = "N" * 2_000 + chromosomes[chrom] + "N" * 2_000
        first = position - 1 + 2_000
        assert whole[first : first + len(ref)] == ref
        changed = whole[:first] + alt + whole[first + len(ref) :]
        references.append(whole[first - BEFORE :][:1344])
        alternatives.append(changed[first - BEFORE :][:1344])
    change = logits(package, alternatives) - logits(package, references)
    cell_type = toy.toy_cells(9)["cell_type"]
    for name, of_group in cell_type.groupby(cell_type, observed=True).groups.items():
        expected = change[:, cell_type.index.get_indexer(of_group)].mean(axis=1)
        np.testing.assert_allclose(result[name].X[0], expected, atol=1e-4)
    assert np.abs(result.X).max(axis=0).min() > 1e-3
    assert result.var_names[0] == "{}:{}:{}>{}".format(*variants[0])
    assert result.var["position"].iloc[0] == variants[0][1] - 1
    assert result.uns["scbasset_zoo"]["plugin"] == "scbasset-zoo-vcf 0.1.0"
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == ["variant_effects.pdf", "variant_effects.png"]
    assert "variant-effect: scbasset/toy 1.0.0" in (tmp_path / "r.html").read_text()


def test_effects_of_several_models_are_mean_and_deviation_over_models(package, genome, variants, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "plugins" / "example"))
    plugin = importlib.import_module("scbasset_zoo_vcf.plugin")
    other = toy.toy_package(tmp_path / "other", n_cells=9, seed=1, cells=toy.toy_cells(9).iloc[::-1])
    options = {"vcf": write_vcf(tmp_path / "v.vcf", variants), "genome": genome, "device": "cpu", "quiet": True}
    plugin_manager.register(plugin, "variants-of-several")
    try:
        result = sz.run("variant-effect", [package.folder, other.folder], **options)
        each = [sz.run("variant-effect", folder, **options) for folder in (package.folder, other.folder)]
    finally:
        plugin_manager.unregister("variants-of-several")
    values = np.stack([effects[result.obs_names].X for effects in each]).astype(float)
    np.testing.assert_allclose(result.X, values.mean(axis=0), rtol=0, atol=1e-5)
    np.testing.assert_allclose(result.layers["std"], values.std(axis=0, ddof=1), rtol=0, atol=1e-5)
    assert not result.varm


def test_a_contradicted_reference_is_refused_on_the_command_line(command, package, genome, variants, tmp_path):
    chrom, position, ref, alt = variants[0]
    other = next(base for base in "ACGT" if base not in (ref, alt))
    vcf = write_vcf(tmp_path / "v.vcf", [variants[1], (chrom, position, other, alt)])
    ran = command("run", "variant-effect", package.folder, "--vcf", vcf, "--genome", genome, "--out", tmp_path / "e.h5ad")
    assert ran.returncode == 1
    message = f"error: {vcf}, line 4: REF is {other}, but {genome} has {ref} at chr1:5,000 (1 of 2 alleles differ)"
    assert message in ran.stderr
    assert not (tmp_path / "e.h5ad").exists()


def test_the_plugin_imports_only_the_public_interface_and_libraries():
    folder = ROOT / "plugins" / "example" / "scbasset_zoo_vcf"
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, path
                modules = [node.module]
            for module in modules:
                is_internal = module.startswith("scbasset_zoo.") and not module.startswith("scbasset_zoo.extend.")
                assert not is_internal, f"{path.name} imports {module}, which is not public"
                assert module.partition(".")[0] not in ("scbasset_zoo_plugins", "scbasset_zoo_export"), path


def test_variants_that_cannot_be_scored_are_refused_before_any_work(package, genome, variants, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "plugins" / "example"))
    from scbasset_zoo_vcf.variant_effect import VariantEffect

    model = sz.open_model(package.folder, "cpu")
    chrom, position, ref, alt = variants[0]

    def check(vcf, **options):
        VariantEffect().open_inputs(model, VariantEffect.Options(vcf=vcf, genome=genome, **options))

    for name, rows, message in (
        ("symbol", [(chrom, position, ref, "<DEL>")], "line 3: the allele '<DEL>' is not a sequence"),
        ("long", [(chrom, position, ref, "A" * 700)], "an allele has 700 bp; at most 672 fit"),
        ("chromosome", [("chr7", position, ref, alt)], "no chromosome chr7"),
        ("beyond", [("chr2", 9_500, "A", "C")], "line 3: REF A at position 9,500 lies outside chr2, whose bases are 1 to 9,000"),
        ("unknown", [("chr2", 9_500, "N", "C")], "lies outside chr2"),
        ("end", [("chr2", 9_000, "NN", "C")], "lies outside chr2"),
        ("zero", [("chr2", 0, "N", "C")], "REF N at position 0 lies outside chr2"),
        ("twice", [variants[1], variants[0], variants[0]], f"line 5: chr1:5000:{ref}>{alt} is also on line 4"),
        ("comma", [(chrom, position, ref, f"{alt},{alt.lower()}")], "is also on line 3"),
        ("nothing", [], "has no variants"),
        ("text", [(chrom, "here", ref, alt)], "line 3: expected CHROM, POS"),
    ):
        with pytest.raises(sz.InputError, match=message):
            check(write_vcf(tmp_path / f"{name}.vcf", rows))
    packed = write_vcf(tmp_path / "damaged.vcf.gz", variants)
    damaged = bytearray(packed.read_bytes())
    damaged[10] = 0xFF
    packed.write_bytes(damaged)
    good = write_vcf(tmp_path / "good.vcf", variants)
    check(good, group_by="batch")
    for vcf, options, message in (
        (good, {"group_by": "mood"}, "no column 'mood'"),
        (genome, {}, "is not a VCF"),
        (tmp_path / "absent.vcf", {}, "There is no .*absent.vcf"),
        (packed, {}, "damaged.vcf.gz cannot be read"),
    ):
        with pytest.raises(sz.InputError, match=message):
            check(vcf, **options)


def test_variants_are_read_as_programs_write_them(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "plugins" / "example"))
    from scbasset_zoo_vcf.vcf import read_variants

    rows = "chr1\t5\t.\ta\tc,GT\nchr1\t9\trs1\tAC\tA\t.\tPASS\tAF=0.1\n"
    for header in ("##fileformat=VCFv4.1\n", "##FileFormat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\n", "#CHROM\tPOS\tID\tREF\tALT\n"):
        (tmp_path / "v.vcf").write_text(header + rows)
        variants = read_variants(tmp_path / "v.vcf", 10)
        assert variants.index.tolist() == ["chr1:5:A>C", "chr1:5:A>GT", "chr1:9:AC>A"]
        assert variants["position"].tolist() == [4, 4, 8]
    (tmp_path / "v.vcf").write_text(rows)
    with pytest.raises(sz.InputError, match="v.vcf is not a VCF"):
        read_variants(tmp_path / "v.vcf", 10)
    for alt in ("*", ".", "G]chr2:5]", "R"):
        (tmp_path / "v.vcf").write_text(f"##fileformat=VCFv4.2\nchr1\t5\t.\tA\tC,{alt}\n")
        with pytest.raises(sz.InputError, match="v.vcf, line 2: the allele .* is not a sequence"):
            read_variants(tmp_path / "v.vcf", 10)


def test_the_template_of_the_page_runs_as_the_page_says(command, package, tmp_path):
    listed = command("plugins").stdout
    assert "my-plugin (my-plugin 0.1.0)\n  analyses: depth" in listed
    assert "vcf (scbasset-zoo-vcf 0.1.0)\n  analyses: variant-effect" in listed
    assert "--scale" in command("run", "depth", "--help").stdout
    line = re.search(r"scbasset-zoo run depth MODEL (.*)", PAGE.read_text())[1].split()
    ran = command("run", "depth", package.folder, *line, "--device", "cpu")
    assert ran.returncode == 0, ran.stderr
    folder = Path(ran.args[0]).parents[2]
    result = ad.read_h5ad(folder / "depth.h5ad")
    head = onnx.load(package.folder / "model.onnx").graph.initializer
    intercept = next(numpy_helper.to_array(values) for values in head if values.name == "cell_intercept")
    np.testing.assert_allclose(result.obs["depth"], intercept * 2, rtol=1e-6)
    assert result.uns["scbasset_zoo"]["plugin"] == "my-plugin 0.1.0"
    assert (folder / "depth" / "depth.png").stat().st_size > 1_000
    report = (folder / "depth.html").read_text()
    assert "depth: scbasset/toy 1.0.0" in report
    assert "Depth of groups" in report
