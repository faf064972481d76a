/* Stopping every task of one memory, so that it can be changed under them. */
#include "guard.h"
#include <dirent.h>

#define KCMP_VM 1
#define STOP_MS 5000   /* a task that waits for a disk stops when the disk has answered */
#define SLICE_MS 10    /* after which it is asked why a task has not stopped */
#define ENGINE_MS 1000 /* the engine lets go of restored tasks one after another */

static int read_file(pid_t tid, const char *what, char *text, size_t size) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", tid, what);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);
  if (fd >= 0) close(fd);
  text[n > 0 ? n : 0] = 0;
  return n > 0 ? 0 : -1;
}

static long status_number(pid_t tid, const char *key) {
  static char text[8192];
  if (read_file(tid, "status", text, sizeof text) < 0) return -1;
  const char *at = strstr(text, key);
  return at ? strtol(at + strlen(key), NULL, 10) : -1;
}

pid_t process_of(pid_t tid) { return status_number(tid, "\nTgid:"); }

/* A letter as in proc(5); 0 when it is gone. */
static char state_of(pid_t tid) {
  char text[512];
  const char *end = read_file(tid, "stat", text, sizeof text) < 0 ? NULL : strrchr(text, ')');
  return end && end[1] ? end[2] : 0;
}

static int is_engine(pid_t pid) {
  char text[32];
  return pid > 0 && read_file(pid, "comm", text, sizeof text) == 0 && !strcmp(text, "criu\n");
}

int seize_patiently(pid_t tid) {
  struct timespec pause = {0, 1000000};
  for (int waited = 0;; waited++) {
    if (inject_seize(tid) == 0) return 0;
    if (errno != EPERM || waited == ENGINE_MS) return -1;
    if (!state_of(tid) || strchr("ZX", state_of(tid))) return errno = ESRCH, -1;
    pid_t tracer = status_number(tid, "\nTracerPid:");
    // A stop that came too late for the last time: it is still ours.
    if (tracer == getpid()) return 0;
    if (!is_engine(tracer)) return errno = EPERM, -1;
    nanosleep(&pause, NULL);
  }
}

/* Such a task waits until its child, which shares its memory, has gone on to another: it does not run before the child does. */
static int waits_for_vfork(pid_t tid) {
  char text[256];
  if (state_of(tid) != 'D' || read_file(tid, "syscall", text, sizeof text) < 0) return 0;
  long nr = strtol(text, NULL, 10);
#ifdef SYS_vfork
  if (nr == SYS_vfork) return 1;
#endif
  return nr == SYS_clone || nr == SYS_clone3;
}

/* 1: it stands still. 0: it is no more. -1: it goes on. */
static int wait_for_rest(pid_t tid) {
  for (int waited = 0; waited < STOP_MS; waited += SLICE_MS) {
    if (inject_wait(tid, SLICE_MS) == 0) return 1;
    if (errno != ETIMEDOUT) return errno == ESRCH || errno == ECHILD ? 0 : -1;
    if (waits_for_vfork(tid)) return 1;
  }
  return errno = ETIMEDOUT, -1;
}

static int knows(const struct world *w, pid_t tid) {
  for (size_t i = 0; i < w->count; i++)
    if (w->tasks[i] == tid || w->tasks[i] == -tid) return 1;
  return 0;
}

static int add(struct world *w, pid_t tid) {
  if ((w->count & (w->count + 1)) == 0) {
    pid_t *tasks = realloc(w->tasks, (2 * w->count + 2) * sizeof *tasks);
    if (!tasks) return -1;
    w->tasks = tasks;
  }
  w->tasks[w->count++] = tid;
  return 0;
}

/* Seizes those of a process's tasks that are not known yet. */
static int seize_tasks(struct world *w, pid_t process) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/task", process);
  DIR *tasks = opendir(path);
  int result = 0;
  for (struct dirent *entry; tasks && result == 0 && (entry = readdir(tasks));) {
    pid_t tid = atoi(entry->d_name);
    if (tid <= 0 || knows(w, tid)) continue;
    if (seize_patiently(tid) == 0) result = add(w, tid);
    else if (errno != ESRCH) result = -1;
  }
  if (tasks) closedir(tasks);
  return result;
}

static int seize_all(struct world *w, pid_t process) {
  DIR *proc = opendir("/proc");
  int result = proc ? seize_tasks(w, process) : -1;
  for (struct dirent *entry; result == 0 && (entry = readdir(proc));) {
    pid_t pid = atoi(entry->d_name);
    if (pid <= 0 || pid == process || pid == getpid()) continue;
    if (syscall(SYS_kcmp, w->caller, pid, KCMP_VM, 0, 0) == 0) result = seize_tasks(w, pid);
  }
  if (proc) closedir(proc);
  return result;
}

int stop_world(struct world *w, pid_t caller) {
  *w = (struct world){.caller = caller};
  pid_t process = process_of(caller);
  if (add(w, caller) < 0 || wait_for_rest(caller) <= 0 || process < 0) return -1;
  // A task that is not stopped yet may make another: until all are known, and stand still.
  for (size_t still = 1;;) {
    if (seize_all(w, process) < 0) return -1;
    if (still == w->count) return 0;
    for (; still < w->count; still++) {
      int rests = wait_for_rest(w->tasks[still]);
      if (rests < 0) return -1;
      if (rests == 0) w->tasks[still] = -w->tasks[still];
    }
  }
}

void resume_world(struct world *w) {
  for (size_t i = w->count; i-- > 0;)
    if (w->tasks[i] > 0) inject_detach(w->tasks[i]);
  free(w->tasks), w->tasks = NULL, w->count = 0;
}
