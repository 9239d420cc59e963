"""Where the program begins: `memread` and `python -m memread`."""

from __future__ import annotations


def main() -> None:
    """Run the command line and exit. Ctrl-C is no traceback, whatever is being imported at that moment."""
    try:
        from memread import interrupts

        interrupts.install()
        from memread.cli.app import main as run

        run()
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
