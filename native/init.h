/* What the files of the init program share. Its protocol is in init.c. */
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <sys/mount.h>

#define FRAME_MAX (16 << 20)
#define PATH_SIZE 4096
#define STATUS_FD 4 /* tells PID 1 which program of a chain could not be started */

/* The rest of a frame. */
struct fields {
  char *at, *end;
};

/* util.c */
/* Ends with errno's text. */
void die(const char *what);
long check(long result, const char *what);
int write_all(int fd, const void *data, size_t size);
int read_all(int fd, void *data, size_t size);
int write_text(const char *path, const char *text);
void send_frame(int fd, const void *data, uint32_t size);
int move_mount_to(int fd, const char *target);
/* A detached copy of the mounts at a path; -1 where clone_tree ends the program. */
int copy_tree(const char *path);
int clone_tree(const char *path);
/* The next field; NULL when there is none. */
char *field(struct fields *f);
long number_field(struct fields *f);
/* A count and that many fields. */
char **list_field(struct fields *f);
void join_cgroups(char **paths, pid_t pid);
char **after_dashes(char **argv);

/* identity.c */
/* Names the stage that failed, as the verbs below do; NULL when all is well. */
const char *become(uint64_t keep, const char *uid, const char *gid, const char *groups);
void drop_capabilities(void);
void hide_io_uring(void);

/* engine.c */
pid_t start_engine(char **command, int *socket, int guarded);
/* Passes one message on, behind a prefix; false when the engine has ended. */
int relay_engine(int from, int to, const char *prefix, size_t prefix_size);

/* mounts.c */
void loopback_up(void);
void make_mounts(const char *dir);
const char *give_root(struct fields *f, int *fds, int count);

/* restore.c */
const char *set_time(struct fields *f);
const char *make_subreaper(struct fields *f);

/* inject.c: times in milliseconds; -1 and errno when they fail. One task at a time calls these, the one that attached. */
/* Stops a task. ETIMEDOUT when it does not come to a stop in time: then it is still traced, until inject_release() or the caller's
 * end; EPERM when it is traced already. */
int inject_attach(pid_t tid, int timeout_ms);
/* The two halves of it: for several tasks at once. */
int inject_seize(pid_t tid);
int inject_wait(pid_t tid, int timeout_ms);
/* Executes a system call in a task that stands still. Returns what it returned, or -errno: ENOTSUP in a 32-bit program. */
long inject_call(pid_t tid, long nr, long a, long b, long c, long d, long e, long f);
/* The system call that the task stands in returns this, and is not started again. */
int inject_result(pid_t tid, long result);
/* Lets a task go on where it was: a system call that waited goes on waiting, signals that came are delivered. */
void inject_detach(pid_t tid);
/* Lets go a task whose stop came too late; `status` is waitpid's. */
void inject_release(pid_t tid, int status);

/* env.c */
int env_main(char **argv);

/* guard.c */
/* Puts this process and all that it will make under guard, where the kernel can, and tells the other end of the socket. */
void guard_install(int socket);
/* Hears of it: the tasks there are guarded by this process from now on. */
void guard_adopt(int socket);
/* What to poll: readable when guard_serve() has something to do; -1 for nothing. */
int guard_listener(void);
void guard_serve(void);
/* To `pass`, `go`, `lazy` or `hold`, or asks for the `state`. Returns the state afterwards, `none` without a guard; NULL: no such word. */
const char *guard_turn(const char *to);
/* The filter's program in hexadecimal digits. */
const char *guard_filter(void);
/* Mappings of files whose path begins with this are layers: by default, those in /.appshot/memory/. */
void guard_layers_at(const char *prefix);

/* verbs of main() */
int chain_main(void);
int maker_main(char **argv);
int swrk_main(char **argv);
int enter_main(char **argv);
int guard_filter_main(void);
int guard_main(char **argv);
int inject_main(char **argv);
int fill_main(char **argv);
