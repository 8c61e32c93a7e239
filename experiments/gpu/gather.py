#!/usr/bin/env python3
"""Joins what check.sh's programs wrote into one JSON file and prints it as tables; fails if one of them did.

    gather.py FILE FOLDER NAME...

Of each NAME, FOLDER has NAME.end (exit status and seconds), NAME.log and, if the program got so far, NAME.json.
"""
import json
import pathlib
import sys


def read(folder, name):
    status, seconds = map(int, (folder / f"{name}.end").read_text().split())
    last = (folder / f"{name}.log").read_text(errors="replace")[-1000:]
    try:
        found = json.loads((folder / f"{name}.json").read_text())
    except (OSError, ValueError):
        found = {}
    failed = {124: "the time ran out", 137: "the time ran out"}.get(status, f"exit status {status}")
    return {"seconds": seconds} | ({} if status == 0 else {"failed": failed, "last_words": last}) | found


def shown(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def table(rows):
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [columns] + [[shown(row.get(column, "")) for column in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines)]
    for line in lines:
        print("  " + "  ".join(cell.rjust(width) for cell, width in zip(line, widths)))


def show(name, value):
    """Lists of objects as tables, objects by their fields, and whatever else on a line."""
    if isinstance(value, dict):
        print(f"{name}:")
        for key, inner in value.items():
            show(f"{name} {key}", inner)
    elif isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        print(f"{name}:")
        table(value)
    else:
        print(f"{name}: {shown(value)}")


def main():
    file, folder, *names = sys.argv[1:]
    found = {name: read(pathlib.Path(folder), name) for name in names}
    pathlib.Path(file).write_text(json.dumps(found, indent=2) + "\n")
    for name, value in found.items():
        show(name, value)
    sys.exit(any("failed" in value for value in found.values()))


main()
