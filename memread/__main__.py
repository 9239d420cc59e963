"""`python -m memread`."""

from memread.cli.app import main

if __name__ == "__main__":
    main()
