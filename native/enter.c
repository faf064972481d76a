/* Entering an environment from outside: for the engine that saves, and for commands. */
#include "init.h"

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
  pid_t pid = check(start_engine(criu, &engine, 0), "engine");
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

int swrk_main(char **argv) {
  static const char *const names[] = {"net", "uts", "pid", "mnt", NULL};
  signal(SIGPIPE, SIG_IGN);
  // An engine that is killed while it works inside a task may take the task along: memory pressure must choose another.
  write_text("/proc/self/oom_score_adj", "-1000");
  enter(argv[0], names);
  pid_t pid = check(fork(), "fork");
  return pid ? wait_for(pid) : relay(argv + 1);
}

int enter_main(char **argv) {
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
