/*
 * A userfaultfd of somebody else's memory.
 *
 * The kernel makes one for the memory of the caller only, and a task in a user namespace may not make one that hears faults
 * inside the kernel, unless it holds a descriptor of /dev/userfaultfd. So the task, which waits, is made to call: it gets
 * that descriptor through a pair of sockets that it makes, uses it, and closes everything; we take what it made
 * (pidfd_getfd). The numbers are free ones, which nobody sees while all tasks wait.
 */
#include "fill.h"

#define INJECT_TIMEOUT_MS 5000

enum { PAIR, PAIR_END, DEVICE, MADE, HELD };

/* What the task is given to work on, in a page that it maps for the purpose. */
struct scratch {
  int pair[2];
  char byte;
  struct iovec iov;
  struct msghdr message;
  union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } control;
};

struct guest {
  pid_t pid;
  int pidfd, memory, held[HELD];
  uint64_t scratch;
};

/* The result as errno has it. */
static long call(struct guest *g, long nr, long a, long b, long c, long d) {
  long result = inject_call(g->pid, nr, a, b, c, d, -1, 0);
  return result < 0 ? errno = -result, -1 : result;
}

static int take(struct guest *g, int fd) { return syscall(SYS_pidfd_getfd, g->pidfd, fd, 0); }

static int send_descriptor(int socket, int fd) {
  struct scratch s = {0};
  s.iov = (struct iovec){&s.byte, 1};
  s.message = (struct msghdr){.msg_iov = &s.iov, .msg_iovlen = 1, .msg_control = &s.control, .msg_controllen = sizeof s.control};
  s.control.align = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
  memcpy(CMSG_DATA(&s.control.align), &fd, sizeof fd);
  return sendmsg(socket, &s.message, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

static const char *receive_descriptor(struct guest *g) {
  struct scratch s = {0};
  char *there = (char *)g->scratch;
  s.iov = (struct iovec){there + offsetof(struct scratch, byte), 1};
  s.message = (struct msghdr){.msg_iov = (struct iovec *)(there + offsetof(struct scratch, iov)), .msg_iovlen = 1,
                              .msg_control = there + offsetof(struct scratch, control), .msg_controllen = sizeof s.control};
  if (pwrite(g->memory, &s, sizeof s, g->scratch) != sizeof s) return "scratch";
  long message = g->scratch + offsetof(struct scratch, message);
  if (call(g, SYS_recvmsg, g->held[PAIR_END], message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT, 0) != 1) return "receive";
  if (pread(g->memory, &s, sizeof s, g->scratch) != sizeof s) return "scratch";
  if (s.control.align.cmsg_len != CMSG_LEN(sizeof(int))) return errno = EMFILE, "receive";
  memcpy(&g->held[DEVICE], CMSG_DATA(&s.control.align), sizeof(int));
  return NULL;
}

static const char *make_pair(struct guest *g, int device) {
  if (call(g, SYS_socketpair, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, g->scratch) < 0) return "socketpair";
  if (pread(g->memory, g->held, 2 * sizeof(int), g->scratch) != 2 * sizeof(int)) return "scratch";
  int mine = take(g, g->held[PAIR]);
  if (mine < 0) return "pidfd_getfd";
  int sent = send_descriptor(mine, device), error = errno;
  close(mine);
  return sent < 0 ? errno = error, "send" : NULL;
}

static const char *make_there(struct guest *g, int device, int *uffd) {
  long page = call(g, SYS_mmap, 0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  if (page < 0) return "mmap";
  g->scratch = page;
  const char *failed = make_pair(g, device);
  if (!failed) failed = receive_descriptor(g);
  if (failed) return failed;
  g->held[MADE] = call(g, SYS_ioctl, g->held[DEVICE], USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK, 0);
  if (g->held[MADE] < 0) return "userfaultfd";
  *uffd = take(g, g->held[MADE]);
  return *uffd < 0 ? "pidfd_getfd" : NULL;
}

/* The task must be as it was, whatever failed. */
static const char *leave(struct guest *g, const char *failed) {
  int error = errno;
  for (int i = 0; i < HELD; i++)
    if (g->held[i] >= 0 && call(g, SYS_close, g->held[i], 0, 0, 0) < 0 && !failed) failed = "close", error = errno;
  if (g->scratch && call(g, SYS_munmap, g->scratch, PAGE, 0, 0) < 0 && !failed) failed = "munmap", error = errno;
  inject_detach(g->pid);
  errno = error;
  return failed;
}

const char *take_userfaultfd(pid_t pid, int device, int *uffd) {
  struct guest g = {.pid = pid, .held = {-1, -1, -1, -1}};
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/mem", pid);
  g.pidfd = syscall(SYS_pidfd_open, pid, 0), g.memory = g.pidfd < 0 ? -1 : open(path, O_RDWR | O_CLOEXEC);
  const char *failed = g.memory < 0 ? "process" : inject_attach(pid, INJECT_TIMEOUT_MS) < 0 ? "attach" : NULL;
  if (!failed) failed = leave(&g, make_there(&g, device, uffd));
  int error = errno;
  close(g.pidfd), close(g.memory);
  errno = error;
  return failed;
}
