/* Small helpers: whole reads and writes, frames and their fields, the end with a reason. */
#include "init.h"

#define MOVE_FROM_FD 4 /* MOVE_MOUNT_F_EMPTY_PATH */
#define CLONE_TREE 1   /* OPEN_TREE_CLONE */

void die(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

long check(long result, const char *what) {
  if (result < 0) die(what);
  return result;
}

int write_all(int fd, const void *data, size_t size) {
  for (const char *at = data; size;) {
    ssize_t n = write(fd, at, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    at += n, size -= n;
  }
  return 0;
}

int read_all(int fd, void *data, size_t size) {
  for (char *at = data; size;) {
    ssize_t n = read(fd, at, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return -1;
    at += n, size -= n;
  }
  return 0;
}

int write_text(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  int result = write_all(fd, text, strlen(text));
  int error = errno;
  close(fd);
  errno = error;
  return result;
}

void send_frame(int fd, const void *data, uint32_t size) {
  if (fd < 0) return;
  uint32_t length = size;
  if (write_all(fd, &length, 4) == 0) write_all(fd, data, size);
}

int move_mount_to(int fd, const char *target) {
  return syscall(SYS_move_mount, fd, "", AT_FDCWD, target, MOVE_FROM_FD);
}

int copy_tree(const char *path) {
  return syscall(SYS_open_tree, AT_FDCWD, path, CLONE_TREE | O_CLOEXEC | AT_RECURSIVE);
}

int clone_tree(const char *path) { return check(copy_tree(path), path); }

char *field(struct fields *f) {
  char *start = f->at, *nul = start < f->end ? memchr(start, 0, f->end - start) : NULL;
  if (!nul) return NULL;
  f->at = nul + 1;
  return start;
}

long number_field(struct fields *f) {
  char *text = field(f);
  return text ? strtol(text, NULL, 10) : -1;
}

char **list_field(struct fields *f) {
  long count = number_field(f);
  if (count < 0 || count > 65536) return NULL;
  char **list = calloc(count + 1, sizeof *list);
  for (long i = 0; list && i < count; i++)
    if (!(list[i] = field(f))) return NULL;
  return list;
}

void join_cgroups(char **paths, pid_t pid) {
  char text[16];
  snprintf(text, sizeof text, "%d", pid);
  for (; *paths && strcmp(*paths, ",") && strcmp(*paths, "--"); paths++)
    if (write_text(*paths, text) < 0) die(*paths);
}

char **after_dashes(char **argv) {
  while (*argv && strcmp(*argv, "--")) argv++;
  if (!*argv) exit(2);
  return argv + 1;
}
