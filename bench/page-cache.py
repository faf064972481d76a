"""page-cache.py: does what it reads, one command a line, to the page cache, and prints `done` after each.

`drop PATH...` forgets what the cache holds of files, or of all files in directories; `mark PATH PID...` remembers which
parts of a file processes have touched, and prints how many, and their bytes; `ahead` asks the kernel to read those parts, and does not wait.
"""

import array
import os
import sys

PAGE = 4096
NEAR = 64 << 10

marked = []


def files(path):
    return [os.path.join(path, name) for name in os.listdir(path)] if os.path.isdir(path) else [path]


def drop(paths):
    for path in [file for path in paths for file in files(path)]:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def mapped(pid, inode):
    """The parts of a file that a process has in its page tables: offset and length, for each mapping ascending."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/pagemap", "rb") as pagemap:
        for line in maps:
            span, _, offset, _, number, *_ = line.split()
            if int(number) != inode:
                continue
            start, end = (int(address, 16) for address in span.split("-"))
            pagemap.seek(start // PAGE * 8)
            entries = array.array("Q", pagemap.read((end - start) // PAGE * 8))
            first = None
            for index, present in enumerate([entry >> 63 for entry in entries] + [0]):
                if present and first is None:
                    first = index
                elif not present and first is not None:
                    yield int(offset, 16) + first * PAGE, (index - first) * PAGE
                    first = None


def joined(parts):
    """The same parts; those that lie close together are one."""
    result = []
    for offset, length in sorted(parts):
        if result and offset <= sum(result[-1]) + NEAR:
            result[-1] = (result[-1][0], max(sum(result[-1]), offset + length) - result[-1][0])
        else:
            result.append((offset, length))
    return result


def mark(path, *pids):
    for descriptor, _ in marked:
        os.close(descriptor)
    descriptor = os.open(path, os.O_RDONLY)
    inode = os.fstat(descriptor).st_ino
    parts = joined(part for pid in pids for part in mapped(pid, inode))
    marked[:] = [(descriptor, parts)]
    print("parts", len(parts), "bytes", sum(length for _, length in parts))


def ahead():
    for descriptor, parts in marked:
        for offset, length in parts:
            os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_WILLNEED)


for line in sys.stdin:
    verb, *words = line.split()
    {"drop": lambda: drop(words), "mark": lambda: mark(*words), "ahead": ahead}[verb]()
    print("done", flush=True)
