/* The guard: keeps a program from seeing that some of its memory is a layer, a private mapping of a file.
 *
 * Restored tasks inherit a filter from the engine. The few system calls that treat a mapping of a file otherwise than anonymous
 * memory wait in it until PID 1 has looked at their arguments. Where no layer is concerned the call goes on. Where one is, all
 * tasks of that memory are stopped, the layer's part is replaced by anonymous memory, empty or with its content, and the
 * call starts again: it finds no layer then.
 *
 * The guard lets everything pass until the engine has restored the tasks (`pass`), then works (`go`). Where memory comes back as it is
 * touched (`lazy`, lazy.c) one advice discards without telling who brings it: he is told before. While it is on `hold`,
 * calls wait in the filter without having been taken: such tasks can still be stopped, and saved. PID 1 does one thing at a
 * time, so when it answers a verb no task is in its hands. Source: seccomp_unotify(2). */
#include "guard.h"
#include <linux/audit.h>
#include <sys/uio.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#define SET_NOTIFY_FLAGS SECCOMP_IOW(4, uint64_t) /* Linux 6.6 */
#define SAME_PROCESSOR 1ULL                       /* SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP */
#define ERESTARTNOINTR 513                        /* start again, whatever signals come; the kernel's own */

#define DONTNEED 4
#define FREE 8
#define REMOVE 9
#define WIPEONFORK 18
#define DONTNEED_LOCKED 24
#define GUARD_INSTALL 102
#define MREMAP_MAYMOVE_ONLY 1
#define MREMAP_LEAVES 4 /* MREMAP_DONTUNMAP */
#define UFFD_REGISTER 0xc020aa00
#define UFFD_MOVE 0xc028aa05

#ifdef __x86_64__

#define LOAD(member) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member))
#define UNLESS(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip)
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, action)
#define NOTIFY_IF(value) UNLESS(value, 1), RETURN(SECCOMP_RET_USER_NOTIF)
#define IF_OURS(skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, GUARD_OWN_CALL, skip, 0) /* such advice has no sixth argument */
#define IF_ADVICE(call, argument)                                                                                         \
  UNLESS(call, 16), LOAD(args[5]), IF_OURS(13), LOAD(args[argument]), NOTIFY_IF(DONTNEED), NOTIFY_IF(FREE),                \
      NOTIFY_IF(REMOVE), NOTIFY_IF(WIPEONFORK), NOTIFY_IF(DONTNEED_LOCKED), NOTIFY_IF(GUARD_INSTALL), RETURN(SECCOMP_RET_ALLOW)
#define X32_BIT 0x40000000 /* the same calls by other numbers */
#define CALLS_SIZE 50
#define IF_CALLS(madvise, process_madvise, mremap, mlock, mlock2, mlockall, ioctl)                                        \
  LOAD(nr), BPF_STMT(BPF_ALU | BPF_AND | BPF_K, ~X32_BIT), NOTIFY_IF(mremap), NOTIFY_IF(mlock), NOTIFY_IF(mlock2),         \
      NOTIFY_IF(mlockall), IF_ADVICE(madvise, 2), IF_ADVICE(process_madvise, 3), UNLESS(ioctl, 5), LOAD(args[1]),          \
      NOTIFY_IF(UFFD_REGISTER), NOTIFY_IF(UFFD_MOVE)

#define NUMBERS_64 SYS_madvise, SYS_process_madvise, SYS_mremap, SYS_mlock, SYS_mlock2, SYS_mlockall, SYS_ioctl
#define NUMBERS_32 219, 440, 163, 150, 376, 152, 54 /* of i386: any program can make these calls by `int 0x80` */
#define EXPAND(macro, ...) macro(__VA_ARGS__)

/* A snapshot contains these bytes; they are taken out of it by comparing them: they must not change without need. */
static struct sock_filter program[] = {
    LOAD(arch), UNLESS(AUDIT_ARCH_X86_64, CALLS_SIZE + 1), EXPAND(IF_CALLS, NUMBERS_64), RETURN(SECCOMP_RET_ALLOW),
    UNLESS(AUDIT_ARCH_I386, CALLS_SIZE), EXPAND(IF_CALLS, NUMBERS_32), RETURN(SECCOMP_RET_ALLOW),
};

enum call { MADVISE, PROCESS_MADVISE, MREMAP, MLOCK, MLOCK2, MLOCKALL, IOCTL, CALL_COUNT };
static const int numbers[2][CALL_COUNT] = {{NUMBERS_64}, {NUMBERS_32}};

#else
#define X32_BIT 0
static struct sock_filter program[1];
enum call { MADVISE, PROCESS_MADVISE, MREMAP, MLOCK, MLOCK2, MLOCKALL, IOCTL, CALL_COUNT };
static const int numbers[2][CALL_COUNT];
#endif

static struct {
  int listener;
  const char *state;
} guard = {-1, "none"};

static int install(void) {
#ifdef __x86_64__
  struct sock_fprog filter = {sizeof program / sizeof *program, program};
  unsigned int flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter);
#else
  return errno = ENOSYS, -1;
#endif
}

/* The one byte of a message needs no meaning; a descriptor travels with it. */
struct passing {
  char byte;
  struct iovec iov;
  union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } control;
  struct msghdr message;
};

static void prepare(struct passing *p) {
  *p = (struct passing){.byte = 'g', .iov = {&p->byte, 1}};
  p->message = (struct msghdr){.msg_iov = &p->iov, .msg_iovlen = 1, .msg_control = &p->control, .msg_controllen = sizeof p->control};
}

void guard_install(int socket) {
  struct passing p;
  int listener = install();
  prepare(&p);
  struct cmsghdr *head = CMSG_FIRSTHDR(&p.message);
  *head = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
  memcpy(CMSG_DATA(head), &listener, sizeof listener);
  if (listener < 0) p.message.msg_controllen = 0;
  sendmsg(socket, &p.message, 0);
  close(listener);
}

void guard_adopt(int socket) {
  struct passing p;
  prepare(&p);
  if (recvmsg(socket, &p.message, MSG_CMSG_CLOEXEC) <= 0 || !CMSG_FIRSTHDR(&p.message)) return;
  memcpy(&guard.listener, CMSG_DATA(CMSG_FIRSTHDR(&p.message)), sizeof guard.listener);
  ioctl(guard.listener, SET_NOTIFY_FLAGS, SAME_PROCESSOR);
  guard.state = "pass";
}

int guard_listener(void) { return strcmp(guard.state, "hold") ? guard.listener : -1; }

static void lose_tasks(void) { close(guard.listener), guard.listener = -1, guard.state = "none"; }

const char *guard_turn(const char *to) {
  static const char *const states[] = {"pass", "go", "lazy", "hold", "state"};
  if (!to) return NULL;
  for (size_t i = 0; i < sizeof states / sizeof *states; i++)
    if (!strcmp(to, states[i])) {
      if (guard.listener >= 0 && i < 4) guard.state = states[i];
      return guard.state;
    }
  return NULL;
}

/* What a call asks for. */
enum action { LET_PASS, REFUSE, DISCARD, DISSOLVE, TELL };

struct plan {
  enum action action;
  int advice;    /* when the call is madvise() */
  int whole;     /* it takes one mapping only: what a program made as one must become one again */
  struct span in;
  uint64_t asked_end; /* that of the advice's range; `in` ends where the kernel would refuse to go on */
};

static const struct plan pass = {.action = LET_PASS};

static uint64_t round_up(uint64_t n) { return (n + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1); }

static struct span span_of(uint64_t start, uint64_t size) {
  uint64_t end = start + round_up(size);
  return start >= ADDRESS_END || end < start || end > ADDRESS_END ? (struct span){0, 0} : (struct span){start, end};
}

/* Whether this kernel knows the advice: an unknown one changes nothing, and must not by us. */
static int works(int advice) {
  static char known[256];
  if (!known[advice]) {
    void *page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    known[advice] = page != MAP_FAILED && madvise(page, PAGE_BYTES, advice) == 0 ? 2 : 1;
    if (page != MAP_FAILED) munmap(page, PAGE_BYTES);
  }
  return known[advice] == 2;
}

/* Beyond what the kernel refuses to discard nothing is discarded. */
static uint64_t discards_until(pid_t tid, const struct plan *p) {
  struct mappings m;
  uint64_t end = p->in.end;
  if (list_mappings(tid, p->in, 0, &m) == 0) end = refused_from(tid, &m, p->advice == FREE, p->advice == DONTNEED_LOCKED);
  free_mappings(&m);
  return end < p->in.end ? end : p->in.end;
}

static int is_lazy(void) { return !strcmp(guard.state, "lazy"); }

static struct plan plan_advice(pid_t tid, uint64_t start, uint64_t size, uint64_t advice) {
  struct plan p = {.advice = advice & 0xff, .in = span_of(start, size)};
  p.asked_end = p.in.end;
  if (start % PAGE_BYTES || p.in.start == p.in.end) return pass;
  if (is_lazy()) return p.action = TELL, p.advice == GUARD_INSTALL && works(p.advice) ? p : pass;
  if (!meets_layer(tid, p.in)) return pass;
  if (p.advice == REMOVE) p.action = REFUSE;
  else if (p.advice == WIPEONFORK) p.action = DISSOLVE;
  else if (works(p.advice)) p.action = DISCARD, p.in.end = discards_until(tid, &p);
  return p.action == DISCARD && !meets_layer(tid, p.in) ? pass : p;
}

static int read_task(pid_t tid, void *data, size_t size, uint64_t from) {
  struct iovec to = {data, size}, at = {(void *)from, size};
  return syscall(SYS_process_vm_readv, tid, &to, 1, &at, 1, 0) == (long)size ? 0 : -1;
}

/* The kernel takes such advice for the caller's own memory only. The first range with a layer is dealt with, the others when
 * the call has started again. */
static struct plan plan_list(pid_t tid, const uint64_t *args, int wide) {
  struct plan p = pass;
  for (uint64_t i = 0; i < args[2] && i < 1024 && p.action == LET_PASS; i++) {
    uint64_t pair[2] = {0, 0};
    uint32_t narrow[2];
    if (wide && read_task(tid, pair, sizeof pair, args[1] + i * sizeof pair) < 0) break;
    if (!wide && read_task(tid, narrow, sizeof narrow, args[1] + i * sizeof narrow) < 0) break;
    if (!wide) pair[0] = narrow[0], pair[1] = narrow[1];
    p = plan_advice(tid, pair[0], pair[1], args[3]);
    p.advice = 0;
  }
  return p;
}

/* Moving or growing in parts, and to leave the old place empty, is done with one mapping; and what follows the layer in its
 * file must not be seen. A layer that only becomes shorter or only moves stays what it is. */
static struct plan plan_mremap(pid_t tid, const uint64_t *args) {
  struct plan p = {.in = span_of(args[0], args[1]), .whole = 1};
  struct mappings m;
  int layers = 0;
  if (args[0] % PAGE_BYTES || p.in.start == p.in.end || list_mappings(tid, p.in, 0, &m) < 0) return pass;
  for (size_t i = 0; i < m.count; i++) layers += m.list[i].backing == LAYER;
  int grows = round_up(args[2]) > p.in.end - p.in.start, moves = args[3] & ~MREMAP_MAYMOVE_ONLY;
  if (m.count == 1 && layers && (grows || args[3] & MREMAP_LEAVES)) p.action = DISSOLVE;
  if (m.count > 1 && (grows || moves)) {
    p.whole = was_one(tid, p.in, &m);
    if (layers || p.whole) p.action = DISSOLVE;
  }
  free_mappings(&m);
  return p;
}

static struct plan plan_range(pid_t tid, struct span in) {
  struct plan p = {.action = DISSOLVE, .in = in};
  return in.start != in.end && meets_layer(tid, in) ? p : pass;
}

static struct plan plan_lock(pid_t tid, const uint64_t *args) {
  uint64_t offset = args[0] % PAGE_BYTES;
  return plan_range(tid, span_of(args[0] - offset, args[1] + offset));
}

static struct plan plan_ioctl(pid_t tid, const uint64_t *args) {
  uint64_t range[3]; /* start, size; or destination, start, size */
  int move = (uint32_t)args[1] == UFFD_MOVE;
  if (read_task(tid, range, sizeof range, args[2]) < 0) return pass;
  return plan_range(tid, span_of(range[move], range[1 + move]));
}

static struct plan plan_call(pid_t tid, const struct seccomp_data *data) {
  int wide = data->arch != AUDIT_ARCH_I386, nr = wide ? data->nr & ~X32_BIT : data->nr, call = 0;
  const uint64_t *args = (const uint64_t *)data->args;
  while (call < CALL_COUNT && numbers[!wide][call] != nr) call++;
  switch (call) {
    case MADVISE: return plan_advice(tid, args[0], args[1], args[2]);
    case PROCESS_MADVISE: return plan_list(tid, args, wide);
    case MREMAP: return plan_mremap(tid, args);
    case MLOCK:
    case MLOCK2: return plan_lock(tid, args);
    case MLOCKALL: return plan_range(tid, (struct span){0, ADDRESS_END});
    case IOCTL: return plan_ioctl(tid, args);
    default: return pass;
  }
}

/* The memory's tasks stand still: what was planned is now done to what is mapped now. */
static int carry_out(pid_t tid, const struct plan *p) {
  struct mappings m;
  if (p->action == TELL) return discard_aloud(tid, p->in), 0;
  int result = list_mappings(tid, p->in, 0, &m);
  if (result == 0) result = p->action == DISCARD ? discard(tid, &m) : dissolve(tid, &m, p->whole);
  free_mappings(&m);
  return result;
}

/* A task that cannot be stopped, or memory that cannot be mapped anew: the call must end here, for it would meet the layer
 * again. Discarding can be done by writing zeros; everything else, traps too, may fail for want of memory at any time. */
static long do_without(pid_t tid, const struct plan *p) {
  struct mappings m;
  if (p->action != DISCARD || !p->advice || p->advice == GUARD_INSTALL || list_mappings(tid, p->in, 0, &m) < 0) return -ENOMEM;
  int result = write_zeros(tid, &m);
  free_mappings(&m);
  if (result < 0) return -ENOMEM;
  return p->in.end < p->asked_end ? -EINVAL : 0;
}

static void answer(uint64_t id, long result) {
  struct seccomp_notif_resp response = {.id = id, .error = result};
  ioctl(guard.listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

static void let_pass(uint64_t id) {
  struct seccomp_notif_resp response = {.id = id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
  ioctl(guard.listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

/* The caller is made to stop before it can run: its call starts again when it is let go. */
static void rebuild(const struct seccomp_notif *asked, const struct plan *p) {
  struct world world;
  uint64_t id = asked->id;
  pid_t tid = asked->pid;
  if (seize_patiently(tid) < 0) return answer(id, do_without(tid, p));
  // Another task may have its number by now: it is let go as it is.
  int valid = ioctl(guard.listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
  answer(id, -ERESTARTNOINTR);
  int done = stop_world(&world, tid);
  if (done == 0 && valid) done = carry_out(tid, p);
  if (done < 0 && valid) inject_result(tid, do_without(tid, p));
  resume_world(&world);
}

/* Mappings that were to become one and did not, for a reason that only the kernel knows, would be asked for ever again; so would
 * memory that looks as before when it has been made anew. */
static int comes_again(const struct seccomp_notif *asked) {
  static struct seccomp_notif last;
  int same = last.pid == asked->pid && !memcmp(&last.data, &asked->data, sizeof last.data);
  last = *asked;
  if (same) last.pid = 0;
  return same;
}

void guard_serve(void) {
  struct seccomp_notif asked = {.id = 0};
  struct pollfd poll_tasks = {guard.listener, POLLIN, 0};
  if (poll(&poll_tasks, 1, 0) > 0 && poll_tasks.revents & POLLHUP) return lose_tasks();
  if (!(poll_tasks.revents & POLLIN) || ioctl(guard.listener, SECCOMP_IOCTL_NOTIF_RECV, &asked) < 0) return;
  struct plan p = !strcmp(guard.state, "pass") ? pass : plan_call(asked.pid, &asked.data);
  int looks_done = p.action == TELL || (p.action == DISSOLVE && p.whole && !meets_layer(asked.pid, p.in));
  if (looks_done && comes_again(&asked)) p = pass;
  if (p.action == LET_PASS) let_pass(asked.id);
  else if (p.action == REFUSE) answer(asked.id, -EINVAL);
  else rebuild(&asked, &p);
}

const char *guard_filter(void) {
  static char digits[2 * sizeof program + 1];
  const unsigned char *bytes = (const unsigned char *)program;
  for (size_t i = 0; i < sizeof program; i++) sprintf(digits + 2 * i, "%02x", bytes[i]);
  return digits;
}

/* Fails where there can be no guard. */
int guard_filter_main(void) {
  check(install(), "guard");
  printf("%s\n", guard_filter());
  return 0;
}
