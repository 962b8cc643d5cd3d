"""`python -m pointillist` is the command `pointillist`."""

from pointillist.cli import main

main()
