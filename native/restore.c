/* What a restore needs of PID 1: clocks that go on, and orphans that stay in the chain. */
#include "init.h"

#define STOP_MS 5000

/* time MONOTONIC BOOTTIME: what is restored next sees its clocks go on from there. Offsets, as `sec nsec` each, freeze at the
 * first process that enters. Source: time_namespaces(7). */
const char *set_time(struct fields *f) {
  char text[256], *monotonic = field(f), *boottime = field(f);
  if (!monotonic || !boottime) return errno = EINVAL, "time";
  if (unshare(CLONE_NEWTIME) < 0) return "time namespace";
  snprintf(text, sizeof text, "monotonic %s\nboottime %s\n", monotonic, boottime);
  return write_text("/proc/self/timens_offsets", text) < 0 ? "time offsets" : NULL;
}

/* subreaper PID: the task that the engine has just made for the chain's first process adopts orphans from now on. The engine
 * makes it a subreaper only at the end, when the leaders of sessions that ended long ago have been made once more, had their
 * children, and ended: those children would be PID 1's, and lost to the chain. */
const char *make_subreaper(struct fields *f) {
  pid_t pid = number_field(f);
  if (pid <= 1 || inject_attach(pid, STOP_MS) < 0) return "attach";
  long result = inject_call(pid, SYS_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0, 0);
  inject_detach(pid);
  return result < 0 ? errno = -result, "prctl" : NULL;
}
