"""``python -m orcapod.cli``: the command, where it is not on the path."""

from orcapod.cli.main import main

main()
