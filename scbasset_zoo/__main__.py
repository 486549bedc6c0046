"""`python -m scbasset_zoo`: the command line."""

from scbasset_zoo.cli.main import main

main()
