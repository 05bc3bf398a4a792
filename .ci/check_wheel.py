"""Run by the interpreter of a clean environment that holds the built wheel: is everything in it?"""

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import vlmloom

PACKAGES = ("assemblies", "components", "configs", "pipelines", "registry")


def main(checkout: Path) -> None:
    """Check that the wheel is what was imported, holds every tracked file, and imports as a whole."""
    home = Path(vlmloom.__file__).parent
    if not home.is_relative_to(sys.prefix):
        raise SystemExit(f"wheel: vlmloom came from {home}, not from the clean environment {sys.prefix}")

    listing = subprocess.check_output(["git", "ls-files", *PACKAGES], cwd=checkout, text=True)
    missing = [name for name in listing.splitlines() if not (home / name).is_file()]
    if missing:
        raise SystemExit(f"wheel: {len(missing)} tracked files are not in it, e.g. {missing[0]}")

    modules = [module.name for module in pkgutil.walk_packages(vlmloom.__path__, "vlmloom.")]
    for name in modules:
        if not name.endswith("__main__"):
            importlib.import_module(name)
    print(f"wheel: {len(listing.splitlines())} files present, {len(modules)} modules imported from {home}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
