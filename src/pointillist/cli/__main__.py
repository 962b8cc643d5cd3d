"""`python -m pointillist.cli` is the command `pointillist`."""

from pointillist.cli import main

main()
