"""What .gitignore files leave out of a folder, as git itself would."""

from __future__ import annotations

from pathlib import Path

from pathspec import GitIgnoreSpec


class Rules:
    """The .gitignore files that hold in a folder, outermost first. Each is (its folder, its patterns)."""

    def __init__(self, specs: tuple[tuple[Path, GitIgnoreSpec], ...] = ()) -> None:
        self._specs = specs

    @classmethod
    def above(cls, folder: Path) -> Rules:
        """Those of the folders above, up to the root of the repository; none where there is no repository.

        A folder that they leave out is read all the same when it is named.
        """
        folder = folder.resolve()
        above = list(folder.parents)
        repository = next((each for each in [folder, *above] if (each / ".git").exists()), None)
        rules = cls()
        if repository is None or repository == folder:
            return rules
        for each in reversed(above[: above.index(repository) + 1]):
            rules = rules.within(each)
        parts = [folder, *above[: above.index(repository)]]
        return cls() if any(rules.ignore(each, is_folder=True) for each in parts) else rules

    def within(self, folder: Path) -> Rules:
        """These, and those of the .gitignore in `folder`. One that cannot be read is none."""
        try:
            lines = (folder / ".gitignore").read_text(encoding="utf-8", errors="replace").splitlines()
            spec = GitIgnoreSpec.from_lines(lines)
        except (OSError, ValueError):
            return self
        return Rules((*self._specs, (folder.resolve(), spec)))

    def ignore(self, path: Path, is_folder: bool) -> bool:
        """Whether `path` is left out: the innermost file that speaks of it decides."""
        whole = path.parent.resolve() / path.name
        for folder, spec in reversed(self._specs):
            if not whole.is_relative_to(folder):
                continue
            inner = whole.relative_to(folder).as_posix() + ("/" if is_folder else "")
            found = spec.check_file(inner).include
            if found is not None:
                return found
        return False
