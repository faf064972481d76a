/* PID 1 of an environment: makes it, serves its control socket, reaps. */
#include "init.h"

#define FIRST_PASSED 20 /* where descriptors for the engine are put, in order */

static struct {
  int listener, daemon, engine, events;
  pid_t chain, engine_pid;
  int chain_status;
  int asked; /* the engine has said something that it may wait for an answer to */
  const char *state;
} self = {.daemon = -1, .engine = -1, .state = "ready", .chain_status = -1};

static void tell(const char *verb, const char *a, const char *b) {
  char text[PATH_SIZE];
  int n = snprintf(text, sizeof text, "%s%c%s%c%s%c", verb, 0, a, 0, b, 0);
  send_frame(self.daemon, text, n);
}

static void answer_error(const char *stage) {
  char number[16];
  snprintf(number, sizeof number, "%d", errno);
  tell("error", stage, number);
}

static int set_last_pid(const char *pid) { return write_text("/proc/sys/kernel/ns_last_pid", pid); }

static pid_t fork_chain(const char *program, int specification, int status) {
  pid_t pid = fork();
  if (pid) return pid;
  setsid();
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  check(unshare(CLONE_NEWIPC), "ipc");
  int spec = fcntl(specification, F_DUPFD, 10), stat = fcntl(status, F_DUPFD, 10);
  dup2(spec, 3), dup2(stat, STATUS_FD);
  close_range(5, ~0U, 0);
  for (int fd = 0; fd < 3; fd++) close(fd);
  check(open("/dev/null", O_RDWR), "null"), dup2(0, 1), dup2(0, 2);
  check(chdir("/"), "directory");
  execl(program, "appshot-chain", "chain", NULL);
  write_all(STATUS_FD, "appshot\0execute\0" "2", 18);
  _exit(127);
}

/* A launched chain needs no engine inside: one that waits there would be a stranger among its processes. */
static void dismiss_engine(void) {
  close(self.engine), self.engine = -1;
  while (waitpid(self.engine_pid, NULL, 0) < 0 && errno == EINTR);
}

/* launch PROGRAM LAST-PID SPECIFICATION: the answer comes when every process of the chain has executed its program, or not. */
static const char *launch(struct fields *f) {
  static char report[PATH_SIZE];
  char *program = field(f), *last = field(f);
  int pipe_fds[2], memory = memfd_create("chain", MFD_CLOEXEC);
  if (!program || !last || memory < 0 || pipe2(pipe_fds, O_CLOEXEC) < 0) return "launch";
  if (write_all(memory, f->at, f->end - f->at) < 0 || lseek(memory, 0, SEEK_SET) < 0) return "specification";
  dismiss_engine();
  if (unshare(CLONE_NEWTIME) < 0) return "time namespace";
  if (set_last_pid(last) < 0) return "process IDs";
  self.chain = fork_chain(program, memory, pipe_fds[1]);
  close(pipe_fds[1]), close(memory);
  int size = 0, n;
  while (size < (int)sizeof report - 1 && (n = read(pipe_fds[0], report + size, sizeof report - 1 - size)) > 0) size += n;
  close(pipe_fds[0]);
  if (self.chain < 0) return "fork";
  self.state = "running";
  char text[PATH_SIZE + 64];
  int head = snprintf(text, sizeof text, size ? "failed" : "ok");
  memcpy(text + head + 1, report, size);
  if (size == 0) size = snprintf(text + head + 1, 16, "%d", self.chain) + 1;
  send_frame(self.daemon, text, head + 1 + size);
  return NULL;
}

/* What becomes of the stages that the engine asks about while it restores: those in `tell` (names, each behind a comma) are the
 * daemon's to answer, all others are answered at once with `reply`; it is empty when the daemon wants all of them. */
static struct {
  char tell[256];
  unsigned char reply[64];
  size_t reply_size;
  int guard; /* the guard begins when all memory is in place */
} stages;

static int take_hexadecimal(const char *text) {
  size_t size = strlen(text) / 2;
  if (size > sizeof stages.reply) return -1;
  for (size_t i = 0; i < size; i++)
    if (sscanf(text + 2 * i, "%2hhx", &stages.reply[i]) != 1) return -1;
  return stages.reply_size = size, 0;
}

/* engine TELL REPLY GUARD and a message: the fields hold for a whole conversation; they are empty in all but its first message. */
static int take_stages(struct fields *f) {
  char *tell = field(f), *reply = field(f), *guard = field(f);
  if (!tell || !reply || !guard || strlen(tell) >= sizeof stages.tell || strlen(reply) % 2) return errno = EINVAL, -1;
  if (!*reply) return 0;
  snprintf(stages.tell, sizeof stages.tell, "%s", tell);
  stages.guard = *guard != 0;
  return take_hexadecimal(reply) < 0 ? errno = EINVAL, -1 : 0;
}

static const char *pass_to_engine(struct fields *f, int *fds, int count) {
  if (take_stages(f) < 0) return "stages";
  for (int i = 0; i < count; i++)
    if (dup2(fds[i], FIRST_PASSED + i) < 0) return "descriptors";
  if (self.engine < 0) return errno = EPIPE, "engine";
  self.state = "restoring";
  self.asked = 0;
  return send(self.engine, f->at, f->end - f->at, MSG_NOSIGNAL) < 0 ? "engine" : NULL;
}

/* adopt PID LAST-PID: the restored chain's root, and where its process IDs go on. */
static const char *adopt(struct fields *f) {
  self.chain = number_field(f);
  char *last = field(f);
  self.state = "running";
  for (int fd = FIRST_PASSED; fd < FIRST_PASSED + 8; fd++) close(fd);
  return !last || set_last_pid(last) < 0 ? "process IDs" : NULL;
}

static const char *last_pid(void) {
  char text[32] = "";
  int fd = open("/proc/sys/kernel/ns_last_pid", O_RDONLY | O_CLOEXEC);
  if (fd < 0 || read(fd, text, sizeof text - 1) < 0) return "process IDs";
  close(fd);
  text[strcspn(text, "\n")] = 0;
  tell("ok", text, "");
  return NULL;
}

static const char *signal_all(struct fields *f) { return kill(-1, number_field(f)) < 0 && errno != ESRCH ? "signal" : NULL; }

/* guard pass|go|lazy|hold|state: answered with the guard's state afterwards; guard.c tells what they mean. guard filter: the filter that
 * this very program, which may be older than the daemon's, put on its tasks. */
static const char *turn_guard(struct fields *f) {
  const char *word = field(f), *state = word && !strcmp(word, "filter") ? guard_filter() : guard_turn(word);
  if (!state) return errno = EINVAL, "guard";
  tell("ok", state, "");
  return NULL;
}

static void handle(char *data, uint32_t size, int *fds, int count) {
  struct fields f = {data, data + size};
  char *verb = field(&f);
  const char *failed = "verb";
  int answered = 0;
  if (!verb) errno = EINVAL;
  else if (!strcmp(verb, "root")) failed = give_root(&f, fds, count), self.state = "rooted";
  else if (!strcmp(verb, "launch")) failed = launch(&f), answered = 1;
  else if (!strcmp(verb, "time")) failed = set_time(&f);
  else if (!strcmp(verb, "engine")) failed = pass_to_engine(&f, fds, count);
  else if (!strcmp(verb, "subreaper")) failed = make_subreaper(&f);
  else if (!strcmp(verb, "adopt")) failed = adopt(&f);
  else if (!strcmp(verb, "last-pid")) failed = last_pid(), answered = 1;
  else if (!strcmp(verb, "signal")) failed = signal_all(&f);
  else if (!strcmp(verb, "guard")) failed = turn_guard(&f), answered = 1;
  else errno = ENOSYS;
  if (failed) answer_error(failed);
  else if (!answered) tell("ok", "", "");
  for (int i = 0; i < count; i++) close(fds[i]);
}

static int receive(void) {
  union {
    char bytes[CMSG_SPACE(64 * sizeof(int))];
    struct cmsghdr align;
  } control;
  uint32_t size;
  int fds[64], count = 0;
  struct iovec iov = {&size, 4};
  struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  ssize_t n = recvmsg(self.daemon, &message, MSG_CMSG_CLOEXEC | MSG_WAITALL);
  if (n != 4 || size > FRAME_MAX) return -1;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
      count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      memcpy(fds, CMSG_DATA(c), count * sizeof(int));
    }
  char *data = malloc(size + 1);
  int received = data && read_all(self.daemon, data, size) == 0;
  if (received) handle(data, size, fds, count);
  free(data);
  return received ? 0 : -1;
}

static void greet(void) {
  char status[16];
  int fd = accept4(self.listener, NULL, NULL, SOCK_CLOEXEC);
  if (fd < 0) return;
  if (self.daemon >= 0) close(self.daemon);
  self.daemon = fd;
  snprintf(status, sizeof status, "%d", self.chain_status);
  tell("hello", self.state, status);
}

/* Without a daemon nobody answers the engine: one that waits would wait for ever, and its half-made tasks with it. It undoes
 * them when its socket closes; one that has said its last word does not care. */
static void lose_daemon(void) {
  close(self.daemon), self.daemon = -1;
  if (self.asked && self.engine >= 0) close(self.engine), self.engine = -1;
}

static int is_among(const char *list, const char *data, size_t size) {
  char name[64];
  for (const char *at = list; *at == ',';) {
    size_t length = strcspn(++at, ",");
    snprintf(name, sizeof name, "%.*s", (int)length, at);
    if (length < sizeof name && memmem(data, size, name, length)) return 1;
    at += length;
  }
  return 0;
}

/* A notification (rpc.proto: a criu_resp that begins with `type` = NOTIFY, and holds the stage's name) that the daemon need not hear of. */
static int answer_stage(const char *data, size_t size) {
  if (!stages.reply_size || size < 2 || memcmp(data, "\x08\x06", 2)) return 0;
  if (is_among(stages.tell, data, size)) return 0;
  if (stages.guard && is_among(",post-restore", data, size)) guard_turn("go");
  // From here on nothing fails any more: the daemon may let packets in while the engine lets the tasks go.
  if (is_among(",pre-resume", data, size)) tell("resuming", "", "");
  return send(self.engine, stages.reply, stages.reply_size, MSG_NOSIGNAL) == (ssize_t)stages.reply_size;
}

static void lose_engine(void) {
  close(self.engine), self.engine = -1, tell("criu-ended", "", "");
}

/* One message; false when there is none, or no engine any more. */
static int hear_engine(int flags) {
  static char data[1 << 20] = "criu";
  ssize_t size = recv(self.engine, data + 5, sizeof data - 5, flags);
  if (size < 0 && (flags & MSG_DONTWAIT)) return 0;
  if (size <= 0) return lose_engine(), 0;
  if (answer_stage(data + 5, size)) return 1;
  send_frame(self.daemon, data, size + 5);
  self.asked = 1;
  if (self.daemon < 0) lose_daemon();
  return self.engine >= 0;
}

/* The socket of an engine that was killed does not close: what it was restoring has it too. Its last words come first. */
static void bury_engine(void) {
  while (self.engine >= 0 && hear_engine(MSG_DONTWAIT));
  if (self.engine >= 0) lose_engine();
}

static void reap_children(void) {
  struct signalfd_siginfo info;
  char text[16];
  int status;
  while (read(self.events, &info, sizeof info) == sizeof info);
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    if (WIFSTOPPED(status)) inject_release(pid, status);
    if (pid == self.engine_pid && !WIFSTOPPED(status)) bury_engine();
    if (pid != self.chain || WIFSTOPPED(status)) continue;
    self.chain_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    self.state = "ended";
    snprintf(text, sizeof text, "%d", self.chain_status);
    tell("chain-ended", text, "");
  }
}

static void serve(void) {
  for (;;) {
    struct pollfd polls[] = {{self.listener, POLLIN, 0}, {self.events, POLLIN, 0}, {self.daemon, POLLIN, 0},
                             {self.engine, POLLIN, 0},   {guard_listener(), POLLIN, 0}};
    if (poll(polls, 5, -1) < 0 && errno != EINTR) exit(1);
    if (polls[4].revents) guard_serve();
    if (polls[3].revents) hear_engine(0);
    if (polls[1].revents) reap_children();
    if (polls[2].revents && receive() < 0) lose_daemon();
    if (polls[0].revents) greet();
  }
}

/* An environment while it is made: its control socket, and how the two sides tell each other that they are done. */
struct place {
  int listener, go[2], ready[2];
  pid_t pid;
};

static void first_process(const struct place *place, const char *skeleton, char **criu) {
  char byte;
  // Those of a batch have it at high numbers, where the engine's descriptors go.
  self.listener = check(fcntl(place->listener, F_DUPFD_CLOEXEC, 3), "control socket");
  close(place->listener);
  check(read_all(place->go[0], &byte, 1), "environment");
  close(place->go[0]);
  setsid();
  signal(SIGPIPE, SIG_IGN);
  loopback_up();
  make_mounts(skeleton);
  sigset_t child;
  sigemptyset(&child), sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, NULL);
  self.events = check(signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd");
  int null = check(open("/dev/null", O_RDWR | O_CLOEXEC), "null");
  for (int fd = 0; fd < 3; fd++) dup2(null, fd);
  close(null);
  self.engine_pid = check(start_engine(criu, &self.engine, 1), "engine");
  write_all(place->ready[1], "+", 1), close(place->ready[1]);
  serve();
}

static int listen_at(const char *dir) {
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "control"};
  int fd = check(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  check(chdir(dir), dir);
  umask(077);
  check(bind(fd, (struct sockaddr *)&address, sizeof address), "control socket");
  check(listen(fd, 8), "listen");
  umask(022);
  check(chdir("/"), "/");
  return fd;
}

static char **after_comma(char **argv) {
  while (*argv && strcmp(*argv, ",")) argv++;
  if (!*argv) exit(2);
  return argv + 1;
}

/* The user namespace maps every ID to itself: programs keep their users, and the engine is confined. */
static void let_go(const struct place *place, char **groups) {
  static const char map[] = "0 0 4294967295";
  char path[64];
  join_cgroups(groups, place->pid);
  snprintf(path, sizeof path, "/proc/%d/uid_map", place->pid), check(write_text(path, map), path);
  snprintf(path, sizeof path, "/proc/%d/gid_map", place->pid), check(write_text(path, map), path);
  write_all(place->go[1], "+", 1);
}

/* What the parent and the environments made before have open is nothing to the next one. */
static void forget_places(const struct place *places, int count) {
  for (int i = 0; i < count; i++) close(places[i].listener), close(places[i].go[1]), close(places[i].ready[0]);
  close(places[count].go[1]), close(places[count].ready[0]);
}

#define AT_ONCE 16 /* environments of one call */

/* SKELETON (DIRECTORY GROUP... ,)... -- ENGINE...: the environments come into being side by side; their PIDs are printed, each on a line, in
 * order. SKELETON holds the directories that each mounts its own on. When one fails the daemon removes all. */
int env_main(char **argv) {
  const int flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | SIGCHLD;
  struct place places[AT_ONCE];
  char *skeleton = argv[0], **criu = after_dashes(argv), byte;
  int count = 0;
  for (char **at = argv + 1; strcmp(*at, "--"); at = after_comma(at), count++) {
    if (count == AT_ONCE) return 2;
    struct place *place = &places[count];
    place->listener = listen_at(at[0]);
    check(pipe2(place->go, O_CLOEXEC), "pipe"), check(pipe2(place->ready, O_CLOEXEC), "pipe");
    place->pid = check(syscall(SYS_clone, flags, 0, 0, 0, 0), "namespaces");
    if (place->pid == 0) forget_places(places, count), first_process(place, skeleton, criu);
    close(place->go[0]), close(place->ready[1]);
    let_go(place, at + 1);
  }
  for (int i = 0; i < count; i++) {
    if (read_all(places[i].ready[0], &byte, 1) < 0) return waitpid(places[i].pid, NULL, 0), 1;
    dprintf(1, "%d\n", places[i].pid);
  }
  return 0;
}
