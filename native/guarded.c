/* What tests of the guard start: a command under guard without an environment, and system calls in a task that waits. */
#include "init.h"

static int reap(pid_t command) {
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    if (WIFSTOPPED(status)) inject_release(pid, status);
    else if (pid == command) return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  return -1;
}

static void execute(int socket, char **command, const sigset_t *mask) {
  guard_install(socket);
  sigprocmask(SIG_SETMASK, mask, NULL);
  execvp(command[0], command);
  die(command[0]);
}

/* guard PREFIX -- COMMAND...: ends as the command does. */
int guard_main(char **argv) {
  int pair[2], status;
  sigset_t child, mask;
  char **command = after_dashes(argv);
  sigemptyset(&child), sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, &mask);
  int events = check(signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd");
  check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), "socket");
  pid_t pid = check(fork(), "fork");
  if (pid == 0) execute(pair[1], command, &mask);
  close(pair[1]);
  guard_layers_at(argv[0]);
  guard_adopt(pair[0]);
  guard_turn("go");
  while ((status = reap(pid)) < 0) {
    struct signalfd_siginfo info;
    struct pollfd polls[] = {{events, POLLIN, 0}, {guard_listener(), POLLIN, 0}};
    poll(polls, 2, -1);
    while (read(events, &info, sizeof info) == sizeof info);
    if (polls[1].revents) guard_serve();
  }
  return status;
}

/* inject PID COUNT: prints how many times the task told its own ID; it may end on the way. */
int inject_main(char **argv) {
  pid_t pid = atoi(argv[0]);
  struct timespec pause = {0, 5000000};
  int right = 0, count = atoi(argv[1]);
  for (int i = 0; i < count; i++) {
    if (inject_attach(pid, 1000) < 0) break;
    right += inject_call(pid, SYS_getpid, 0, 0, 0, 0, 0, 0) == pid;
    inject_detach(pid);
    nanosleep(&pause, NULL);
  }
  printf("%d\n", right);
  return 0;
}
