"""Runs registered analyses, writes their results and reports on them."""
