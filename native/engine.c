/* The engine, `criu swrk`, and its messages. */
#include "init.h"

#define CRIU_SOCKET 9 /* the engine's end of its socket */

static void raise_descriptor_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) limit.rlim_cur = limit.rlim_max, setrlimit(RLIMIT_NOFILE, &limit);
}

/* The engine waits in `swrk` from here on, so that a wake does not start it. Its socket must be made by a process that it
 * can see: it opens the directories of a request as /proc/PEER/fd/N. What a guarded one restores is under guard. */
pid_t start_engine(char **command, int *socket, int guarded) {
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
    if (dup2(pair[1], CRIU_SOCKET) == pair[1]) fcntl(CRIU_SOCKET, F_SETFD, 0);
    raise_descriptor_limit();
    if (guarded) guard_install(CRIU_SOCKET);
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
  if (guarded && pid > 0) guard_adopt(pair[0]);
  return pid;
}

/* Passes one message on; false when the engine has ended: then its socket is readable, and empty. */
int relay_engine(int from, int to, const char *prefix, size_t prefix_size) {
  static char data[1 << 20];
  memcpy(data, prefix, prefix_size);
  ssize_t n = recv(from, data + prefix_size, sizeof data - prefix_size, 0);
  if (n > 0) send_frame(to, data, n + prefix_size);
  return n > 0;
}
