"""Reads bigWig files, with another library than the one that wrote them where it is installed."""

from importlib.util import find_spec


def read_bigwig(path):
    """Return the sizes of the chromosomes, and (chrom, start, end, value) of every interval."""
    if find_spec("pyBigWig") is not None:
        import pyBigWig

        with pyBigWig.open(str(path)) as file:
            sizes = dict(file.chroms())
            return sizes, [(chrom, *interval) for chrom in sorted(sizes) for interval in file.intervals(chrom) or ()]
    import pybigtools

    file = pybigtools.open(str(path))
    sizes = file.chroms()
    return sizes, [(chrom, *interval) for chrom in sorted(sizes) for interval in file.records(chrom)]
