/* What a restore needs of PID 1: clocks that go on, and orphans that stay in the chain. */
#include "init.h"

/* time MONOTONIC BOOTTIME: what is restored next sees its clocks go on from there. Offsets, as `sec nsec` each, freeze at the
 * first process that enters. Source: time_namespaces(7). */
const char *set_time(struct fields *f) {
  char text[256], *monotonic = field(f), *boottime = field(f);
  if (!monotonic || !boottime) return errno = EINVAL, "time";
  if (unshare(CLONE_NEWTIME) < 0) return "time namespace";
  snprintf(text, sizeof text, "monotonic %s\nboottime %s\n", monotonic, boottime);
  return write_text("/proc/self/timens_offsets", text) < 0 ? "time offsets" : NULL;
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
const char *make_subreaper(struct fields *f) {
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
