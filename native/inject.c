/* System calls executed by another task, by ptrace.
 *
 * A task is attached (SEIZE, INTERRUPT) and stands still; calls are executed in it one after another, with its registers and its
 * signal mask saved before and put back after; then it is let go. It may stand inside a system call that waits: such a call has
 * left its registers asking for a restart, and the restart happens when the task is let go out of a stop that the kernel
 * enters from its handling of signals. So detaching from the stop at the end of a call goes by way of one more such stop.
 * Signals are blocked while a call runs, and stay pending; a stop signal, which cannot be blocked, takes effect at the end.
 * Source: ptrace(2), "Attaching and detaching", "Group-stop", "Syscall-stops". */
#include "init.h"

#define SYSCALL_STOP (SIGTRAP | 0x80) /* by PTRACE_O_TRACESYSGOOD */
#define EVENT_OF(stop) ((stop) >> 8)
#define SPINS 64
#define CODE_64 0x33   /* the code segment of 64-bit programs */
#define SYSCALL 0x050f /* the instruction, as a little-endian number */
#define VDSO_MAX (64 << 10)
#define ERESTARTNOHAND 514 /* restart unless a handler runs; the kernel's own, never seen by programs */

static int64_t now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

/* Looks for a stop, waiting as long as it takes without WNOHANG in `how`. A task's end is left for whoever reaps. */
static int take_stop(pid_t tid, int how) {
  siginfo_t info = {.si_pid = 0};
  if (waitid(P_PID, tid, &info, WEXITED | WSTOPPED | WNOWAIT | __WALL | how) < 0) return errno == EINTR ? 0 : -1;
  if (info.si_pid == 0) return 0;
  if (info.si_code != CLD_TRAPPED && info.si_code != CLD_STOPPED) return errno = ESRCH, -1;
  return waitid(P_PID, tid, &info, WSTOPPED | __WALL | WNOHANG) < 0 ? -1 : info.si_status;
}

/* The next stop: a signal's number, and the event in the bits above. Without a time to wait until, until it comes. There is
 * no event for "this task has stopped or the time is over" that would not take the signals of other children. */
static int next_stop(pid_t tid, int64_t until) {
  for (int turn = 0;; turn++) {
    int stop = take_stop(tid, until ? WNOHANG : 0);
    if (stop) return stop;
    if (!until) continue;
    if (now_us() >= until) return errno = ETIMEDOUT, -1;
    struct timespec pause = {0, turn < 4 * SPINS ? 50000 : 1000000};
    if (turn < SPINS) sched_yield();
    else nanosleep(&pause, NULL);
  }
}

/* Goes on until the task stands in a stop of the kind `wanted`; signals that are delivered on the way take effect. */
static int go_until(pid_t tid, int request, int (*wanted)(int stop), int64_t until) {
  for (int signal = 0;;) {
    if (request && ptrace(request, tid, 0, (long)signal) < 0) return -1;
    int stop = next_stop(tid, until);
    if (stop < 0 || wanted(stop)) return stop < 0 ? -1 : 0;
    signal = EVENT_OF(stop) || stop == SYSCALL_STOP ? 0 : stop;
    if (!request) request = PTRACE_CONT;
  }
}

/* The stop that was asked for, or that of a process which is stopped as a whole: a task can be used in both. */
static int is_rest(int stop) { return EVENT_OF(stop) == PTRACE_EVENT_STOP; }

static int is_syscall(int stop) { return stop == SYSCALL_STOP; }

/* Some calls fail when a task is stopped while they wait, though no handler of a signal has run (signal(7), "Interruption of
 * system calls ... by stop signals"). Those that wait without end are told to start again; the others count their time: they
 * fail as they do after SIGCONT, and the program goes on with what is left. */
#ifdef __x86_64__
static int waits_without_end(const struct user_regs_struct *regs) {
  switch (regs->orig_rax) {
    case SYS_epoll_wait:
    case SYS_epoll_pwait: return (int)regs->r10 < 0;
    case SYS_epoll_pwait2:
    case SYS_semtimedop: return regs->r10 == 0;
    case SYS_rt_sigtimedwait: return regs->rdx == 0;
    case SYS_semop: return 1;
    default: return 0;
  }
}

static void keep_waiting(pid_t tid) {
  struct user_regs_struct regs;
  if (ptrace(PTRACE_GETREGS, tid, 0, &regs) < 0) return;
  if ((long)regs.rax != -EINTR || regs.cs != CODE_64 || !waits_without_end(&regs)) return;
  regs.rax = -ERESTARTNOHAND;
  ptrace(PTRACE_SETREGS, tid, 0, &regs);
}
#else
static void keep_waiting(pid_t tid) { (void)tid; }
#endif

int inject_seize(pid_t tid) {
  if (ptrace(PTRACE_SEIZE, tid, 0, (long)PTRACE_O_TRACESYSGOOD) < 0) return -1;
  return ptrace(PTRACE_INTERRUPT, tid, 0, 0);
}

int inject_wait(pid_t tid, int timeout_ms) {
  if (go_until(tid, 0, is_rest, now_us() + timeout_ms * 1000LL + 1) < 0) return -1;
  keep_waiting(tid);
  return 0;
}

int inject_attach(pid_t tid, int timeout_ms) { return inject_seize(tid) < 0 ? -1 : inject_wait(tid, timeout_ms); }

void inject_release(pid_t tid, int status) {
  int stop = status >> 8;
  ptrace(PTRACE_DETACH, tid, 0, (long)(EVENT_OF(stop) || stop == SYSCALL_STOP ? 0 : stop));
}

void inject_detach(pid_t tid) {
  siginfo_t info;
  if (ptrace(PTRACE_GETSIGINFO, tid, 0, &info) == 0 && info.si_code == SYSCALL_STOP) {
    ptrace(PTRACE_INTERRUPT, tid, 0, 0);
    go_until(tid, PTRACE_CONT, is_rest, 0);
  }
  ptrace(PTRACE_DETACH, tid, 0, 0);
}

#ifdef __x86_64__

static int is_instruction(pid_t tid, uint64_t at) {
  errno = 0;
  long word = ptrace(PTRACE_PEEKTEXT, tid, (void *)at, 0);
  return errno == 0 && (word & 0xffff) == SYSCALL;
}

/* The kernel's own page of code, which every task has, contains the instruction somewhere. */
static uint64_t instruction_in_vdso(pid_t tid) {
  static char line[PATH_SIZE];
  char path[64];
  uint64_t start, end, found = 0;
  snprintf(path, sizeof path, "/proc/%d/maps", tid);
  FILE *maps = fopen(path, "re");
  while (maps && !found && fgets(line, sizeof line, maps)) {
    if (!strstr(line, "[vdso]") || sscanf(line, "%lx-%lx", &start, &end) != 2 || end - start > VDSO_MAX) continue;
    for (uint64_t at = start; at + 8 <= end && !found; at++)
      if (is_instruction(tid, at)) found = at;
  }
  if (maps) fclose(maps);
  return found;
}

/* Right behind a system call the instruction is known to be there, and executable. */
static uint64_t instruction_near(pid_t tid, const struct user_regs_struct *regs) {
  if ((long)regs->orig_rax >= 0 && is_instruction(tid, regs->rip - 2)) return regs->rip - 2;
  return instruction_in_vdso(tid);
}

static int run_call(pid_t tid, struct user_regs_struct *regs) {
  if (ptrace(PTRACE_SETREGS, tid, 0, regs) < 0) return -1;
  if (go_until(tid, PTRACE_SYSCALL, is_syscall, 0) < 0 || go_until(tid, PTRACE_SYSCALL, is_syscall, 0) < 0) return -1;
  return ptrace(PTRACE_GETREGS, tid, 0, regs);
}

long inject_call(pid_t tid, long nr, long a, long b, long c, long d, long e, long f) {
  struct user_regs_struct saved, call;
  uint64_t mask, all = ~0ULL;
  if (ptrace(PTRACE_GETREGS, tid, 0, &saved) < 0) return -errno;
  if (saved.cs != CODE_64) return -ENOTSUP;
  call = saved;
  call.rip = instruction_near(tid, &saved);
  if (!call.rip) return -ENOEXEC;
  call.orig_rax = -1, call.rax = nr, call.rdi = a, call.rsi = b, call.rdx = c, call.r10 = d, call.r8 = e, call.r9 = f;
  if (ptrace(PTRACE_GETSIGMASK, tid, (void *)sizeof mask, &mask) < 0) return -errno;
  if (ptrace(PTRACE_SETSIGMASK, tid, (void *)sizeof all, &all) < 0) return -errno;
  int error = run_call(tid, &call) < 0 ? errno : 0;
  if (ptrace(PTRACE_SETREGS, tid, 0, &saved) < 0 && !error) error = errno;
  if (ptrace(PTRACE_SETSIGMASK, tid, (void *)sizeof mask, &mask) < 0 && !error) error = errno;
  return error ? -error : (long)call.rax;
}

int inject_result(pid_t tid, long result) {
  struct user_regs_struct regs;
  if (ptrace(PTRACE_GETREGS, tid, 0, &regs) < 0) return -1;
  regs.rax = result, regs.orig_rax = -1;
  return ptrace(PTRACE_SETREGS, tid, 0, &regs);
}

#else

long inject_call(pid_t tid, long nr, long a, long b, long c, long d, long e, long f) {
  (void)tid, (void)nr, (void)a, (void)b, (void)c, (void)d, (void)e, (void)f;
  return -ENOSYS;
}

int inject_result(pid_t tid, long result) {
  (void)tid, (void)result;
  return errno = ENOSYS, -1;
}

#endif
