"""The command line: one file a command. Each parses, composes, and maps errors to exit codes.

What a command needs is imported when it runs, so that `memread --help` starts fast.
"""
