"""Writes the shipped SQL in the words of other engines: queries/dialects.

usage: dialects BINARY [--check]

BINARY   copilot-lake, which knows the tables
--check  write nothing, and fail if a file is not what would be written
"""

import pathlib
import sys

sys.path.insert(1, str(pathlib.Path(__file__).parent.parent / "interop"))

from lake import definitions  # noqa: E402
from texts import DIALECTS, Shipped  # noqa: E402

ROOT = pathlib.Path(__file__).parents[3]


def main(binary: str, *options: str) -> int:
    shipped = Shipped(ROOT / "queries", definitions(binary))
    folder = ROOT / "queries/dialects"
    wanted = {folder / name / file: text for name in DIALECTS for file, text in shipped.files(name).items()}
    found = {path: path.read_text() for path in folder.glob("*/*.sql")}
    stale = sorted(str(path.relative_to(ROOT)) for path in wanted | found if wanted.get(path) != found.get(path))
    if "--check" in options:
        print(*(f"{path} is stale: `make dialects`" for path in stale), sep="\n", end="\n" if stale else "")
        return 1 if stale else 0
    for path in found.keys() - wanted.keys():
        path.unlink()
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    print(f"{len(wanted)} files, {len(stale)} changed")
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 2 or not set(sys.argv[2:]) <= {"--check"}:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
