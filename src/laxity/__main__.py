"""``python -m laxity``: the command line."""

from laxity.cli import main

if __name__ == "__main__":
    main()
