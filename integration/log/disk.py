"""What a power cut leaves of a directory whose processes run under disk.c."""

import random
import shutil
from pathlib import Path

SECTOR_BYTES = 512


def cut(path: Path, journal: Path, chance: random.Random) -> int:
    """Takes from `path` what was not durable; returns how many bytes were at risk.

    A name of which its directory's fsync does not know goes, with all below it. Of a file's bytes
    after the last fdatasync some stay: up to a length taken by chance, without some sectors, which
    the disk had not written and which read as zeros.
    """
    names, durable = set(), {}
    for line in journal.read_text().splitlines():
        kind, rest = line.split(" ", 1)
        if kind == "entry":
            names.add(rest)
        else:
            size, name = rest.split(" ", 1)
            durable[name] = int(size)
    return lose(path, names, durable, chance)


def lose(path, names, durable, chance):
    if str(path) not in names:
        risk = sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
        return risk
    if path.is_dir():
        return sum(lose(below, names, durable, chance) for below in sorted(path.iterdir()))
    size = path.stat().st_size
    kept = min(size, durable.get(str(path), 0))
    with path.open("r+b") as file:
        end = chance.randint(kept, size)
        file.truncate(end)
        holes = chance.choice([0, 0.1, 0.5])
        start = kept
        while start < end:
            stop = min(end, (start // SECTOR_BYTES + 1) * SECTOR_BYTES)
            if chance.random() < holes:
                file.seek(start)
                file.write(bytes(stop - start))
            start = stop
    return size - kept
