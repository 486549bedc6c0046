"""Tracks: a value of each group along a genome, as bigWig files that genome browsers show."""
