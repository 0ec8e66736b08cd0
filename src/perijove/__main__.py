"""`python -m perijove` is the command `perijove`."""

from perijove.cli.main import main

main()
