/* The first process of an application: starts its processes, adopts its orphans, notes how they end. */
#include "init.h"

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

int chain_main(void) {
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
  drop_capabilities();
  return reap(list, count);
}
