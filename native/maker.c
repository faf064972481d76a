/* The maker of environments: a small process that waits, because starting one takes the daemon milliseconds each time. */
#include "init.h"

#define REQUEST_MAX (1 << 16)
#define FIELDS_MAX 512
#define ANSWER_MAX 1024

/* Reads to the end; what does not fit is dropped. */
static void read_text(int fd, char *text, size_t limit) {
  char rest[256];
  size_t size = 0;
  for (;;) {
    ssize_t n = size < limit - 1 ? read(fd, text + size, limit - 1 - size) : read(fd, rest, sizeof rest);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    if (size < limit - 1) size += n;
  }
  text[size] = 0;
  close(fd);
}

/* An answer is one line. */
static void join_lines(char *text) {
  for (char *at = text; *at; at++)
    if (*at == '\n') *at = at[1] ? ' ' : 0;
}

/* In a process of its own: what fails ends it, and what it made goes on without it. */
static void make(char **argv) {
  static char pids[ANSWER_MAX], reason[ANSWER_MAX];
  int outs[2], errors[2], status = 0;
  check(pipe2(outs, O_CLOEXEC), "pipe"), check(pipe2(errors, O_CLOEXEC), "pipe");
  pid_t pid = check(fork(), "fork");
  if (pid == 0) {
    dup2(outs[1], 1), dup2(errors[1], 2);
    for (int i = 0; i < 2; i++) close(outs[i]), close(errors[i]);
    exit(env_main(argv));
  }
  close(outs[1]), close(errors[1]);
  read_text(outs[0], pids, sizeof pids), read_text(errors[0], reason, sizeof reason);
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR);
  join_lines(pids), join_lines(reason);
  if (status == 0) dprintf(1, "ok %s\n", pids);
  else dprintf(1, "error %s\n", reason[0] ? reason : "its first process has ended");
}

/* maker SKELETON -- ENGINE...: a request on standard input is a frame of fields, (DIRECTORY GROUP... ,)...; the answer on standard
 * output is the line `ok PID...` or `error REASON`. It ends with its input. */
int maker_main(char **argv) {
  static char data[REQUEST_MAX];
  char *all[FIELDS_MAX] = {argv[0]};
  for (uint32_t size; read_all(0, &size, 4) == 0;) {
    if (size > sizeof data || read_all(0, data, size) < 0) return 1;
    struct fields f = {data, data + size};
    int count = 1;
    for (char *one; (one = field(&f));) {
      if (count == FIELDS_MAX / 2) return 1;
      all[count++] = one;
    }
    for (char **at = argv + 1; *at && count < FIELDS_MAX - 1; at++) all[count++] = *at;
    all[count] = NULL;
    make(all);
  }
  return 0;
}
