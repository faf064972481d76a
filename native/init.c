/*
 * The part of AppShot that must be one thread: what lives inside an environment.
 *
 *   init env DIR CGROUP... -- CRIU...     makes an environment and leaves its PID 1 running; prints that PID
 *   init chain                            the first process of an application: starts its processes, reaps its orphans
 *   init swrk PID CRIU...                 runs `criu swrk` inside the environment of PID, outside its user namespace
 *   init enter PID CHAIN CAPS UID GID GROUPS CWD CGROUP... -- COMMAND...   runs a command inside an application
 *
 * PID 1 serves its control socket (DIR/control). A frame is a 32-bit little-endian length and that many bytes: fields that
 * end with NUL, the first of them a verb; descriptors travel with its first byte. It answers `ok` or `error STAGE ERRNO`,
 * and tells of its own accord `hello STATE`, `criu BYTES`, `criu-ended`, `chain-ended STATUS`. A daemon may come and go:
 * PID 1 stays, and says hello to the next one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOVE_FROM_FD 4 /* MOVE_MOUNT_F_EMPTY_PATH */
#define CLONE_TREE 1   /* OPEN_TREE_CLONE */
#define MS_SLAVE_ALL (MS_SLAVE | MS_REC)
#define CRIU_SOCKET 9  /* the engine's end of its socket */
#define FIRST_PASSED 20 /* where descriptors for the engine are put, in order */
#define FRAME_MAX (16 << 20)
#define PATH_SIZE 4096
#include <sys/mount.h>

static void die(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

static long check(long result, const char *what) {
  if (result < 0) die(what);
  return result;
}

static int write_all(int fd, const void *data, size_t size) {
  for (const char *at = data; size;) {
    ssize_t n = write(fd, at, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    at += n, size -= n;
  }
  return 0;
}

static int read_all(int fd, void *data, size_t size) {
  for (char *at = data; size;) {
    ssize_t n = read(fd, at, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return -1;
    at += n, size -= n;
  }
  return 0;
}

static int write_text(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  int result = write_all(fd, text, strlen(text));
  int error = errno;
  close(fd);
  errno = error;
  return result;
}

static void send_frame(int fd, const void *data, uint32_t size) {
  if (fd < 0) return;
  uint32_t length = size;
  if (write_all(fd, &length, 4) == 0) write_all(fd, data, size);
}

static int move_mount_to(int fd, const char *target) {
  return syscall(SYS_move_mount, fd, "", AT_FDCWD, target, MOVE_FROM_FD);
}

static int clone_tree(const char *path) {
  return check(syscall(SYS_open_tree, AT_FDCWD, path, CLONE_TREE | O_CLOEXEC | AT_RECURSIVE), path);
}

/* ---- capabilities and identity of a program ---- */

static int drop_bounding(uint64_t keep) {
  for (int cap = 0; cap < 64; cap++)
    if (!(keep >> cap & 1) && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1 && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
      return -1;
  return 0;
}

static int limit_capabilities(uint64_t keep) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  if (syscall(SYS_capget, &header, data) < 0) return -1;
  for (int i = 0; i < 2; i++) {
    data[i].permitted &= (uint32_t)(keep >> (32 * i));
    data[i].effective &= (uint32_t)(keep >> (32 * i));
    data[i].inheritable = 0;
  }
  return syscall(SYS_capset, &header, data);
}

static int set_user(const char *uid, const char *gid, const char *groups) {
  gid_t list[64];
  int count = 0;
  for (const char *at = groups; *at && count < 64;) {
    char *end;
    list[count++] = strtoul(at, &end, 10);
    at = *end == ',' ? end + 1 : end;
    if (*end && *end != ',') return errno = EINVAL, -1;
  }
  if (setgroups(count, list) < 0 || setgid(strtoul(gid, NULL, 10)) < 0) return -1;
  return setuid(strtoul(uid, NULL, 10));
}

/* The bounding set goes first and the effective one last: changing the user needs what the program must not keep. */
static const char *become(uint64_t keep, const char *uid, const char *gid, const char *groups) {
  if (drop_bounding(keep) < 0) return "capabilities";
  if (set_user(uid, gid, groups) < 0) return "user";
  return limit_capabilities(keep) < 0 ? "capabilities" : NULL;
}

/* ---- fields of a frame ---- */

struct fields {
  char *at, *end;
};

static char *field(struct fields *f) {
  char *start = f->at, *nul = start < f->end ? memchr(start, 0, f->end - start) : NULL;
  if (!nul) return NULL;
  f->at = nul + 1;
  return start;
}

static long number_field(struct fields *f) {
  char *text = field(f);
  return text ? strtol(text, NULL, 10) : -1;
}

static char **list_field(struct fields *f) {
  long count = number_field(f);
  if (count < 0 || count > 65536) return NULL;
  char **list = calloc(count + 1, sizeof *list);
  for (long i = 0; list && i < count; i++)
    if (!(list[i] = field(f))) return NULL;
  return list;
}

/* ---- chain: the first process of an application ---- */

#define STATUS_FD 4 /* tells PID 1 what could not be started */

static void fail_process(const char *name, const char *stage) {
  char text[512];
  int n = snprintf(text, sizeof text, "%s%c%s%c%d", name, 0, stage, 0, errno);
  write_all(STATUS_FD, text, n + 1);
  _exit(127);
}

static int open_log(const char *name, const char *stream) {
  char path[PATH_SIZE];
  snprintf(path, sizeof path, "/.appshot/log/%s.%s.log", name, stream);
  return open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0644);
}

/* Everything that a program holds at its start is opened here, inside its own mount namespace: CRIU must find it again. */
static void run_process(struct fields *f, uint64_t capabilities) {
  char *name = field(f), *uid = field(f), *gid = field(f), *groups = field(f), *cwd = field(f);
  char **argv = list_field(f), **env = list_field(f);
  if (!argv || !env || !argv[0]) errno = EINVAL, fail_process(name ? name : "?", "specification");
  setsid();
  int out = open_log(name, "stdout"), error = open_log(name, "stderr");
  if (out < 0 || error < 0) fail_process(name, "log");
  if (dup2(out, 1) < 0 || dup2(error, 2) < 0) fail_process(name, "log");
  close_range(5, ~0U, 0);
  fcntl(STATUS_FD, F_SETFD, FD_CLOEXEC);
  if (out != 3) close(3);
  const char *failed = become(capabilities, uid, gid, groups);
  if (failed) fail_process(name, failed);
  if (chdir(cwd) < 0) fail_process(name, "directory");
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  for (int s = 1; s < 32; s++) signal(s, SIG_DFL);
  environ = env;
  execvpe(argv[0], argv, env);
  // A script whose interpreter is missing fails like a missing file.
  if (errno == ENOENT && strchr(argv[0], '/') && access(argv[0], F_OK) == 0) errno = ENOEXEC;
  fail_process(name, "execute");
}

static void note_exit(const char *name, int pid, int status) {
  char line[256];
  int fd = open("/.appshot/log/exits", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  int n = snprintf(line, sizeof line, "%s %d %d\n", name, pid, status);
  if (fd < 0) return;
  write_all(fd, line, n);
  close(fd);
}

/* The engine cannot save io_uring, and event loops use it unasked (libuv since 1.45). As in container runtimes it is not there:
 * they fall back to epoll. These numbers are the same on all architectures. */
static void hide_io_uring(void) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, SYS_io_uring_setup, 0, 2),
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, SYS_io_uring_register, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof code / sizeof *code, code};
  check(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), "seccomp");
}

struct started {
  pid_t pid;
  char name[64];
};

static int reap(struct started *list, int count) {
  int status, first = 0;
  for (pid_t pid;;) {
    if ((pid = waitpid(-1, &status, 0)) < 0) {
      if (errno == EINTR) continue;
      return first;
    }
    for (int i = 0; i < count; i++)
      if (list[i].pid == pid) {
        note_exit(list[i].name, pid, status);
        if (i == 0) first = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      }
  }
}

static int chain_main(void) {
  struct stat st;
  check(fstat(3, &st), "specification");
  struct fields f = {malloc(st.st_size), NULL};
  f.end = f.at + st.st_size;
  check(read_all(3, f.at, st.st_size), "specification");
  close(3);
  char *caps = field(&f);
  uint64_t capabilities = caps ? strtoull(caps, NULL, 16) : 0;
  long count = number_field(&f);
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  hide_io_uring();
  for (int s = 1; s < 32; s++)
    if (s != SIGCHLD && s != SIGKILL && s != SIGSTOP) signal(s, SIG_IGN);
  struct started *list = calloc(count > 0 ? count : 1, sizeof *list);
  for (long i = 0; i < count; i++) {
    long size = number_field(&f);
    if (size <= 0 || size > f.end - f.at) exit(126);
    struct fields own = {f.at, f.at + size};
    list[i].pid = fork();
    if (list[i].pid == 0) run_process(&own, capabilities);
    snprintf(list[i].name, sizeof list[i].name, "%s", f.at);
    f.at += size;
  }
  close(STATUS_FD);
  free(f.end - st.st_size);
  drop_bounding(0), limit_capabilities(0);
  return reap(list, count);
}

/* ---- env: PID 1 of an environment ---- */

static struct {
  const char *dir;
  int listener, daemon, engine, events;
  int dev, proc, sys;
  pid_t chain, engine_pid;
  int chain_status;
  const char *state;
} self = {.daemon = -1, .engine = -1, .state = "ready", .chain_status = -1};

static void tell(const char *verb, const char *a, const char *b) {
  char text[PATH_SIZE];
  int n = snprintf(text, sizeof text, "%s%c%s%c%s%c", verb, 0, a, 0, b, 0);
  send_frame(self.daemon, text, n);
}

static void answer_error(const char *stage) {
  char number[16];
  snprintf(number, sizeof number, "%d", errno);
  tell("error", stage, number);
}

static void raise_descriptor_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) limit.rlim_cur = limit.rlim_max, setrlimit(RLIMIT_NOFILE, &limit);
}

/* The engine waits in `swrk` from here on, so that a wake does not start it. Its socket must be made by a process that it
 * can see: it opens the directories of a request as /proc/PEER/fd/N. */
static pid_t start_engine(char **command, int *socket) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) return -1;
  char number[8];
  snprintf(number, sizeof number, "%d", CRIU_SOCKET);
  int count = 0;
  while (command[count]) count++;
  char **argv = calloc(count + 3, sizeof *argv);
  memcpy(argv, command, count * sizeof *argv);
  argv[count] = "swrk", argv[count + 1] = number;
  pid_t pid = fork();
  if (pid == 0) {
    dup2(pair[1], CRIU_SOCKET);
    raise_descriptor_limit();
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    close_range(CRIU_SOCKET + 1, ~0U, 0);
    for (int fd = 3; fd < CRIU_SOCKET; fd++) close(fd);
    execv(argv[0], argv);
    _exit(127);
  }
  free(argv);
  close(pair[1]);
  *socket = pair[0];
  return pid;
}

static void bind_device(const char *name) {
  char target[PATH_SIZE], source[64];
  snprintf(source, sizeof source, "/dev/%s", name);
  snprintf(target, sizeof target, "%s/dev/%s", self.dir, name);
  close(check(open(target, O_CREAT | O_WRONLY | O_CLOEXEC, 0666), target));
  check(mount(source, target, NULL, MS_BIND, NULL), source);
}

static void link_device(const char *target, const char *name) {
  char path[PATH_SIZE];
  snprintf(path, sizeof path, "%s/dev/%s", self.dir, name);
  check(symlink(target, path), path);
}

static void make_devices(void) {
  char path[PATH_SIZE];
  snprintf(path, sizeof path, "%s/dev", self.dir);
  check(mount("tmpfs", path, "tmpfs", MS_NOSUID, "mode=755,size=64k"), "dev");
  static const char *const nodes[] = {"null", "zero", "full", "random", "urandom", "tty"};
  for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) bind_device(nodes[i]);
  snprintf(path, sizeof path, "%s/dev/pts", self.dir);
  check(mkdir(path, 0755), path);
  check(mount("devpts", path, "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"), "devpts");
  snprintf(path, sizeof path, "%s/dev/shm", self.dir);
  check(mkdir(path, 01777), path);
  link_device("pts/ptmx", "ptmx");
  link_device("/proc/self/fd", "fd");
  link_device("/proc/self/fd/0", "stdin");
  link_device("/proc/self/fd/1", "stdout");
  link_device("/proc/self/fd/2", "stderr");
}

static void loopback_up(void) {
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
  int fd = check(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
  check(ioctl(fd, SIOCSIFFLAGS, &request), "loopback");
  close(fd);
}

static void make_mounts(void) {
  char path[PATH_SIZE];
  check(mount(NULL, "/", NULL, MS_SLAVE_ALL, NULL), "slave mounts");
  check(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), "proc");
  make_devices();
  snprintf(path, sizeof path, "%s/dev", self.dir);
  self.dev = clone_tree(path);
  self.proc = clone_tree("/proc");
  snprintf(path, sizeof path, "%s/sys", self.dir);
  if (mount("sysfs", path, "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL) < 0)
    check(mount("/sys", path, NULL, MS_BIND | MS_REC, NULL), "sysfs");
  self.sys = clone_tree(path);
}

/* ---- verbs ---- */

static int make_directories(const char *path) {
  char part[PATH_SIZE];
  for (size_t i = 1; path[i]; i++) {
    if (path[i] != '/' || i >= sizeof part) continue;
    memcpy(part, path, i), part[i] = 0;
    if (mkdir(part, 0755) < 0 && errno != EEXIST) return -1;
  }
  return mkdir(path, 0755) < 0 && errno != EEXIST ? -1 : 0;
}

/* A mount on a file needs a file to stand on, one on a directory a directory. */
static int make_target(int fd, const char *path) {
  struct stat st;
  if (fstat(fd, &st) < 0) return -1;
  if (S_ISDIR(st.st_mode)) return make_directories(path);
  char parent[PATH_SIZE];
  snprintf(parent, sizeof parent, "%s", path);
  char *slash = strrchr(parent, '/');
  if (slash && slash != parent && (*slash = 0, make_directories(parent)) < 0) return -1;
  int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
  return file < 0 ? -1 : close(file);
}

/* root HOSTNAME TARGET... with the root's mount and one for each target. The root is entered first and the targets are
 * resolved inside it: a symbolic link that the application left there must not lead out. */
static const char *give_root(struct fields *f, int *fds, int count) {
  char place[PATH_SIZE], *hostname = field(f);
  if (count < 1 || !hostname) return errno = EINVAL, "root";
  if (sethostname(hostname, strlen(hostname)) < 0) return "host name";
  snprintf(place, sizeof place, "%s/root", self.dir);
  if (move_mount_to(fds[0], place) < 0) return "move root";
  if (chdir(place) < 0 || syscall(SYS_pivot_root, ".", ".") < 0) return "pivot root";
  if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0) return "leave old root";
  if (move_mount_to(self.proc, "/proc") < 0) return "mount /proc";
  if (move_mount_to(self.dev, "/dev") < 0) return "mount /dev";
  if (move_mount_to(self.sys, "/sys") < 0) return "mount /sys";
  for (int i = 1; i < count; i++) {
    char *target = field(f);
    if (!target || make_target(fds[i], target) < 0 || move_mount_to(fds[i], target) < 0) return target ? target : "targets";
  }
  self.state = "rooted";
  return NULL;
}

static int set_last_pid(const char *pid) { return write_text("/proc/sys/kernel/ns_last_pid", pid); }

static pid_t fork_chain(const char *program, int specification, int status) {
  pid_t pid = fork();
  if (pid) return pid;
  setsid();
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  check(unshare(CLONE_NEWIPC), "ipc");
  int spec = fcntl(specification, F_DUPFD, 10), stat = fcntl(status, F_DUPFD, 10);
  dup2(spec, 3), dup2(stat, STATUS_FD);
  close_range(5, ~0U, 0);
  for (int fd = 0; fd < 3; fd++) close(fd);
  check(open("/dev/null", O_RDWR), "null"), dup2(0, 1), dup2(0, 2);
  check(chdir("/"), "directory");
  execl(program, "appshot-chain", "chain", NULL);
  write_all(STATUS_FD, "appshot\0execute\0" "2", 18);
  _exit(127);
}

/* A launched chain needs no engine inside: one that waits there would be a stranger among its processes. */
static void dismiss_engine(void) {
  close(self.engine), self.engine = -1;
  while (waitpid(self.engine_pid, NULL, 0) < 0 && errno == EINTR);
}

/* launch PROGRAM LAST-PID SPECIFICATION: the answer comes when every process of the chain has executed its program, or not. */
static const char *launch(struct fields *f) {
  static char report[PATH_SIZE];
  char *program = field(f), *last = field(f);
  int pipe_fds[2], memory = memfd_create("chain", MFD_CLOEXEC);
  if (!program || !last || memory < 0 || pipe2(pipe_fds, O_CLOEXEC) < 0) return "launch";
  if (write_all(memory, f->at, f->end - f->at) < 0 || lseek(memory, 0, SEEK_SET) < 0) return "specification";
  dismiss_engine();
  if (unshare(CLONE_NEWTIME) < 0) return "time namespace";
  if (set_last_pid(last) < 0) return "process IDs";
  self.chain = fork_chain(program, memory, pipe_fds[1]);
  close(pipe_fds[1]), close(memory);
  int size = 0, n;
  while (size < (int)sizeof report - 1 && (n = read(pipe_fds[0], report + size, sizeof report - 1 - size)) > 0) size += n;
  close(pipe_fds[0]);
  if (self.chain < 0) return "fork";
  self.state = "running";
  char text[PATH_SIZE + 64];
  int head = snprintf(text, sizeof text, size ? "failed" : "ok");
  memcpy(text + head + 1, report, size);
  if (size == 0) size = snprintf(text + head + 1, 16, "%d", self.chain) + 1;
  send_frame(self.daemon, text, head + 1 + size);
  return NULL;
}

/* time MONOTONIC BOOTTIME: what is restored next sees its clocks go on from there. Offsets, as `sec nsec` each, freeze at the
 * first process that enters. Source: time_namespaces(7). */
static const char *set_time(struct fields *f) {
  char text[256], *monotonic = field(f), *boottime = field(f);
  if (!monotonic || !boottime) return errno = EINVAL, "time";
  if (unshare(CLONE_NEWTIME) < 0) return "time namespace";
  snprintf(text, sizeof text, "monotonic %s\nboottime %s\n", monotonic, boottime);
  return write_text("/proc/self/timens_offsets", text) < 0 ? "time offsets" : NULL;
}

static const char *pass_to_engine(struct fields *f, int *fds, int count) {
  for (int i = 0; i < count; i++)
    if (dup2(fds[i], FIRST_PASSED + i) < 0) return "descriptors";
  if (self.engine < 0) return errno = EPIPE, "engine";
  self.state = "restoring";
  return send(self.engine, f->at, f->end - f->at, MSG_NOSIGNAL) < 0 ? "engine" : NULL;
}

/* Makes a stopped task execute prctl() once more: its registers are put on the system call instruction that it waits in. */
static const char *call_prctl(pid_t pid, long option, long value) {
#ifdef __x86_64__
  struct user_regs_struct saved, call;
  int status;
  if (ptrace(PTRACE_GETREGS, pid, 0, &saved) < 0) return "registers";
  call = saved;
  call.rip -= 2, call.orig_rax = -1, call.rax = SYS_prctl, call.rdi = option, call.rsi = value;
  call.rdx = call.r10 = call.r8 = 0;
  if (ptrace(PTRACE_SETREGS, pid, 0, &call) < 0 || ptrace(PTRACE_SINGLESTEP, pid, 0, 0) < 0) return "step";
  if (waitpid(pid, &status, __WALL) < 0 || !WIFSTOPPED(status)) return "step";
  if (ptrace(PTRACE_GETREGS, pid, 0, &call) < 0 || ptrace(PTRACE_SETREGS, pid, 0, &saved) < 0) return "registers";
  return (long)call.rax < 0 ? errno = -(long)call.rax, "prctl" : NULL;
#else
  (void)pid, (void)option, (void)value;
  return errno = ENOSYS, "architecture";
#endif
}

/* subreaper PID: the task that the engine has just made for the chain's first process adopts orphans from now on. The engine
 * makes it a subreaper only at the end, when the leaders of sessions that ended long ago have been made once more, had their
 * children, and ended: those children would be PID 1's, and lost to the chain. */
static const char *make_subreaper(struct fields *f) {
  pid_t pid = number_field(f);
  int status;
  if (pid <= 1 || ptrace(PTRACE_SEIZE, pid, 0, 0) < 0) return "seize";
  const char *failed = ptrace(PTRACE_INTERRUPT, pid, 0, 0) < 0 || waitpid(pid, &status, __WALL) < 0 ? "interrupt" : NULL;
  if (!failed) failed = call_prctl(pid, PR_SET_CHILD_SUBREAPER, 1);
  int error = errno;
  ptrace(PTRACE_DETACH, pid, 0, 0);
  errno = error;
  return failed;
}

/* adopt PID LAST-PID: the restored chain's root, and where its process IDs go on. */
static const char *adopt(struct fields *f) {
  self.chain = number_field(f);
  char *last = field(f);
  self.state = "running";
  for (int fd = FIRST_PASSED; fd < FIRST_PASSED + 8; fd++) close(fd);
  return !last || set_last_pid(last) < 0 ? "process IDs" : NULL;
}

static const char *last_pid(void) {
  char text[32] = "";
  int fd = open("/proc/sys/kernel/ns_last_pid", O_RDONLY | O_CLOEXEC);
  if (fd < 0 || read(fd, text, sizeof text - 1) < 0) return "process IDs";
  close(fd);
  text[strcspn(text, "\n")] = 0;
  tell("ok", text, "");
  return NULL;
}

static const char *signal_all(struct fields *f) { return kill(-1, number_field(f)) < 0 && errno != ESRCH ? "signal" : NULL; }

static void handle(char *data, uint32_t size, int *fds, int count) {
  struct fields f = {data, data + size};
  char *verb = field(&f);
  const char *failed = "verb";
  int answered = 0;
  if (!verb) errno = EINVAL;
  else if (!strcmp(verb, "root")) failed = give_root(&f, fds, count);
  else if (!strcmp(verb, "launch")) failed = launch(&f), answered = 1;
  else if (!strcmp(verb, "time")) failed = set_time(&f);
  else if (!strcmp(verb, "engine")) failed = pass_to_engine(&f, fds, count);
  else if (!strcmp(verb, "subreaper")) failed = make_subreaper(&f);
  else if (!strcmp(verb, "adopt")) failed = adopt(&f);
  else if (!strcmp(verb, "last-pid")) failed = last_pid(), answered = 1;
  else if (!strcmp(verb, "signal")) failed = signal_all(&f);
  else errno = ENOSYS;
  if (failed) answer_error(failed);
  else if (!answered) tell("ok", "", "");
  for (int i = 0; i < count; i++) close(fds[i]);
}

/* ---- PID 1's loop ---- */

static int receive(void) {
  union {
    char bytes[CMSG_SPACE(64 * sizeof(int))];
    struct cmsghdr align;
  } control;
  uint32_t size;
  int fds[64], count = 0;
  struct iovec iov = {&size, 4};
  struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  ssize_t n = recvmsg(self.daemon, &message, MSG_CMSG_CLOEXEC | MSG_WAITALL);
  if (n != 4 || size > FRAME_MAX) return -1;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
      count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      memcpy(fds, CMSG_DATA(c), count * sizeof(int));
    }
  char *data = malloc(size + 1);
  if (!data || read_all(self.daemon, data, size) < 0) return -1;
  handle(data, size, fds, count);
  free(data);
  return 0;
}

static void greet(void) {
  char status[16];
  int fd = accept4(self.listener, NULL, NULL, SOCK_CLOEXEC);
  if (fd < 0) return;
  if (self.daemon >= 0) close(self.daemon);
  self.daemon = fd;
  snprintf(status, sizeof status, "%d", self.chain_status);
  tell("hello", self.state, status);
}

/* Passes one message on; false when the engine has ended: then its socket is readable, and empty. */
static int relay_engine(int from, int to, const char *prefix, size_t prefix_size) {
  static char data[1 << 20];
  memcpy(data, prefix, prefix_size);
  ssize_t n = recv(from, data + prefix_size, sizeof data - prefix_size, 0);
  if (n > 0) send_frame(to, data, n + prefix_size);
  return n > 0;
}

static void reap_children(void) {
  struct signalfd_siginfo info;
  char text[16];
  int status;
  while (read(self.events, &info, sizeof info) == sizeof info);
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    if (pid != self.chain) continue;
    self.chain_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    self.state = "ended";
    snprintf(text, sizeof text, "%d", self.chain_status);
    tell("chain-ended", text, "");
  }
}

static void serve(void) {
  for (;;) {
    struct pollfd polls[] = {{self.listener, POLLIN, 0}, {self.events, POLLIN, 0}, {self.daemon, POLLIN, 0}, {self.engine, POLLIN, 0}};
    if (poll(polls, 4, -1) < 0 && errno != EINTR) exit(1);
    if (polls[3].revents && !relay_engine(self.engine, self.daemon, "criu", 5))
      close(self.engine), self.engine = -1, tell("criu-ended", "", "");
    if (polls[1].revents) reap_children();
    if (polls[2].revents && receive() < 0) close(self.daemon), self.daemon = -1;
    if (polls[0].revents) greet();
  }
}

static void first_process(int go, int ready, char **criu) {
  char byte;
  check(read_all(go, &byte, 1), "environment");
  close(go);
  setsid();
  signal(SIGPIPE, SIG_IGN);
  loopback_up();
  make_mounts();
  sigset_t child;
  sigemptyset(&child), sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, NULL);
  self.events = check(signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd");
  int null = check(open("/dev/null", O_RDWR | O_CLOEXEC), "null");
  for (int fd = 0; fd < 3; fd++) dup2(null, fd);
  close(null);
  self.engine_pid = check(start_engine(criu, &self.engine), "engine");
  write_all(ready, "+", 1), close(ready);
  serve();
}

static void join_cgroups(char **paths, pid_t pid) {
  char text[16];
  snprintf(text, sizeof text, "%d", pid);
  for (; *paths && strcmp(*paths, "--"); paths++)
    if (write_text(*paths, text) < 0) die(*paths);
}

static char **after_dashes(char **argv) {
  while (*argv && strcmp(*argv, "--")) argv++;
  if (!*argv) exit(2);
  return argv + 1;
}

static int listen_at(const char *dir) {
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "control"};
  int fd = check(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  check(chdir(dir), dir);
  umask(077);
  check(bind(fd, (struct sockaddr *)&address, sizeof address), "control socket");
  check(listen(fd, 8), "listen");
  umask(022);
  check(chdir("/"), "/");
  return fd;
}

/* The user namespace maps every ID to itself: programs keep their users, and the engine is confined. */
static int env_main(char **argv) {
  static const char map[] = "0 0 4294967295";
  int go[2], ready[2];
  char path[64], byte;
  self.dir = argv[0];
  self.listener = listen_at(self.dir);
  check(pipe2(go, O_CLOEXEC), "pipe"), check(pipe2(ready, O_CLOEXEC), "pipe");
  int flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | SIGCHLD;
  pid_t pid = check(syscall(SYS_clone, flags, 0, 0, 0, 0), "namespaces");
  if (pid == 0) close(go[1]), close(ready[0]), first_process(go[0], ready[1], after_dashes(argv));
  close(ready[1]);
  join_cgroups(argv + 1, pid);
  snprintf(path, sizeof path, "/proc/%d/uid_map", pid), check(write_text(path, map), path);
  snprintf(path, sizeof path, "/proc/%d/gid_map", pid), check(write_text(path, map), path);
  write_all(go[1], "+", 1);
  if (read_all(ready[0], &byte, 1) < 0) return waitpid(pid, NULL, 0), 1;
  printf("%d\n", pid);
  return 0;
}

/* ---- entering from outside ---- */

static void enter(const char *pid, const char *const *names) {
  int fds[8], count = 0;
  char path[64];
  for (; names[count]; count++) {
    snprintf(path, sizeof path, "/proc/%s/ns/%s", pid, names[count]);
    fds[count] = check(open(path, O_RDONLY | O_CLOEXEC), path);
  }
  for (int i = 0; i < count; i++) check(setns(fds[i], 0), names[i]), close(fds[i]);
}

static int wait_for(pid_t pid) {
  int status;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR);
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  signal(WTERMSIG(status), SIG_DFL);
  kill(getpid(), WTERMSIG(status));
  return 128 + WTERMSIG(status);
}

/* Standard input and output carry frames; the engine's own socket cannot leave the namespaces. */
static int relay(char **criu) {
  int engine;
  char *frame = malloc(FRAME_MAX);
  uint32_t size;
  pid_t pid = check(start_engine(criu, &engine), "engine");
  for (;;) {
    struct pollfd polls[] = {{0, POLLIN, 0}, {engine, POLLIN, 0}};
    if (poll(polls, 2, -1) < 0) continue;
    if (polls[1].revents && !relay_engine(engine, 1, "", 0)) break;
    if (!polls[0].revents) continue;
    if (read_all(0, &size, 4) < 0 || size > FRAME_MAX || read_all(0, frame, size) < 0) break;
    if (send(engine, frame, size, MSG_NOSIGNAL) < 0) break;
  }
  close(engine);
  return wait_for(pid);
}

static int swrk_main(char **argv) {
  static const char *const names[] = {"net", "uts", "pid", "mnt", NULL};
  signal(SIGPIPE, SIG_IGN);
  enter(argv[0], names);
  pid_t pid = check(fork(), "fork");
  return pid ? wait_for(pid) : relay(argv + 1);
}

static int enter_main(char **argv) {
  static const char *const outer[] = {"user", "net", "uts", "pid", "mnt", NULL}, *const inner[] = {"ipc", "time", NULL};
  char **command = after_dashes(argv + 7);
  join_cgroups(argv + 7, getpid());
  int fds[2];
  char path[64];
  for (int i = 0; inner[i]; i++) {
    snprintf(path, sizeof path, "/proc/%s/ns/%s", argv[1], inner[i]);
    fds[i] = check(open(path, O_RDONLY | O_CLOEXEC), path);
  }
  enter(argv[0], outer);
  for (int i = 0; inner[i]; i++) check(setns(fds[i], 0), inner[i]);
  pid_t pid = check(fork(), "fork");
  if (pid) return wait_for(pid);
  uint64_t keep = strtoull(argv[2], NULL, 16);
  const char *failed = become(keep, argv[3], argv[4], argv[5]);
  if (failed) die(failed);
  check(chdir(argv[6]), argv[6]);
  execvp(command[0], command);
  fprintf(stderr, "%s: %s\n", command[0], strerror(errno));
  return errno == ENOENT ? 127 : 126;
}

int main(int argc, char **argv) {
  const char *verb = argc > 1 ? argv[1] : "";
  if (!strcmp(verb, "chain")) return chain_main();
  if (!strcmp(verb, "env") && argc > 4) return env_main(argv + 2);
  if (!strcmp(verb, "swrk") && argc > 3) return swrk_main(argv + 2);
  if (!strcmp(verb, "enter") && argc > 10) return enter_main(argv + 2);
  fprintf(stderr, "usage: init env|chain|swrk|enter ...; it is started by the daemon\n");
  return 2;
}
