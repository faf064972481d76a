"""contain.py ROOT PIDFILE COMMAND...: becomes the first process of a container: run it by `unshare --pid --fork --net --ipc --uts --mount`.

It gives the new namespaces what container runtimes give theirs: the machine's files, bound to ROOT, as root; /proc, /sys and /dev with
what belongs below it; a session; io_uring refused (ENOSYS), as AppShot does and runtimes' profiles do; no descriptor from outside. It
writes its PID outside to PIDFILE, and executes the command.
"""

import ctypes
import os
import struct
import sys

MS_BIND, MS_REC, MS_PRIVATE, MNT_DETACH = 0x1000, 0x4000, 0x40000, 2
PIVOT_ROOT, SECCOMP = {"x86_64": (155, 317), "aarch64": (41, 277)}[os.uname().machine]
IO_URING_SETUP, IO_URING_REGISTER = 425, 427
SECCOMP_SET_MODE_FILTER, ENOSYS = 1, 38
LOAD_WORD, AT_LEAST, GREATER, RETURN = 0x20, 0x35, 0x25, 0x06
ERRNO, ALLOW = 0x00050000, 0x7FFF0000

libc = ctypes.CDLL(None, use_errno=True)


def checked(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source, target, kind=None, flags=0):
    checked(libc.mount(source.encode(), target.encode(), kind and kind.encode(), flags, None), f"mount {target}")


def enter(root):
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    mount("/", root, flags=MS_BIND)
    for kind, place in (("proc", "/proc"), ("sysfs", "/sys"), ("tmpfs", "/dev")):
        mount(kind, root + place, kind)
    for kind, name in (("devpts", "pts"), ("mqueue", "mqueue"), ("tmpfs", "shm")):
        os.mkdir(f"{root}/dev/{name}")
        mount(kind, f"{root}/dev/{name}", kind)
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        os.mknod(f"{root}/dev/{name}", 0o20666, os.stat(f"/dev/{name}").st_rdev)
    os.mkdir(root + "/dev/old")
    os.chdir(root)
    checked(libc.syscall(PIVOT_ROOT, b".", b"dev/old"), "pivot_root")
    checked(libc.umount2(b"/dev/old", MNT_DETACH), "umount")
    os.rmdir("/dev/old")
    os.chdir("/")


def refuse_io_uring():
    def step(code, yes, no, value):
        return struct.pack("HBBI", code, yes, no, value)

    program = ctypes.create_string_buffer(
        step(LOAD_WORD, 0, 0, 0)
        + step(AT_LEAST, 0, 2, IO_URING_SETUP)
        + step(GREATER, 1, 0, IO_URING_REGISTER)
        + step(RETURN, 0, 0, ERRNO | ENOSYS)
        + step(RETURN, 0, 0, ALLOW)
    )
    header = struct.pack("HxxxxxxP", 5, ctypes.addressof(program))
    checked(libc.syscall(SECCOMP, SECCOMP_SET_MODE_FILTER, 0, header), "seccomp")


def close_descriptors():
    os.closerange(0, 1024)
    os.open("/dev/null", os.O_RDWR)
    os.dup2(0, 1)
    os.dup2(0, 2)


root, pid_file, *command = sys.argv[1:]
# This is still the outer /proc.
with open(pid_file, "w") as file:
    file.write(os.readlink("/proc/self"))
enter(root)
os.setsid()
refuse_io_uring()
close_descriptors()
for standard in range(3):
    os.set_inheritable(standard, True)
os.execvp(command[0], command)
