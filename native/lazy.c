/*
 * The lazy filler: a server of pages (userfaultfd(2), ioctl_userfaultfd(2)).
 *
 * For each address space there is a list of pieces that have contents in a layer. A fault in a piece gets them, any other
 * gets zeros. The kernel tells of changes (events) and makes the caller wait until they are read: while it waits, and a
 * moment longer, nothing can be placed in that memory (EAGAIN), so that a page is placed either before a change or by the
 * list as it is after it. Faults are read before events, therefore they are kept and served when the events are through.
 * For the same reason a forked child, whose memory is a copy, starts with a copy of its parent's list as it is when the event
 * is read. A page that is there already is never overwritten (EEXIST): what was restored, or fetched by a fault, stays.
 */
#include "guard.h"
#include "pieces.h"
#include <sys/file.h>

#define CHUNK (128 << 10) /* the most that is brought at once: a fault may have to wait for it */
#define AROUND (8 << 10)  /* brought with a page that a task waits for; more when it goes on where that ended */
#define PAUSE_NS 100000   /* until another attempt, where the kernel has refused one for the moment */
#define PATIENCE 20000    /* such pauses, for an event that must come */
#define MESSAGES 32
#define FEATURES (UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_UNMAP)

/* An address space. A fault at `expected` goes on where the one before, which brought `ahead` bytes, ended. */
struct memory {
  int uffd;
  struct pieces pieces;
  uint64_t expected, ahead;
  unsigned patience;
  size_t waiting, room;
  uint64_t *faults;
};

static struct {
  size_t count, room;
  struct memory *memories;
  struct pollfd *polls;
  uint64_t placed;
  uint64_t step; /* how much is brought at once: little while tasks wait for pages, or where mappings end amid a piece */
  int refused;   /* in this turn */
  char buffer[CHUNK];
} server = {.step = CHUNK};

static struct memory *add_memory(int uffd) {
  if (server.count == server.room) {
    server.room = server.room * 2 + 16;
    server.memories = realloc(server.memories, server.room * sizeof *server.memories);
    server.polls = realloc(server.polls, server.room * sizeof *server.polls);
    if (!server.memories || !server.polls) die("memory");
  }
  struct memory *m = &server.memories[server.count++];
  *m = (struct memory){.uffd = uffd, .patience = PATIENCE};
  return m;
}

/* Whoever still waits for a page goes on: all there is to bring has been brought, or the memory is gone. */
static void end_memory(struct memory *m) {
  close(m->uffd);
  pieces_free(&m->pieces), free(m->faults);
  *m = server.memories[--server.count];
}

/* Returns how much was placed, or -1 with errno. */
static int64_t place(struct memory *m, const struct piece *p, uint64_t address, uint64_t size) {
  read_layer(p->at.layer, server.buffer, size, p->at.offset + (address - p->at.address));
  struct uffdio_copy copy = {.dst = address, .src = (uintptr_t)server.buffer, .len = size};
  if (ioctl(m->uffd, UFFDIO_COPY, &copy) < 0 && copy.copy <= 0) return -1;
  server.placed += copy.copy;
  return copy.copy;
}

static int place_zeros(struct memory *m, uint64_t address) {
  struct uffdio_zeropage zero = {.range = {address, PAGE}};
  return ioctl(m->uffd, UFFDIO_ZEROPAGE, &zero);
}

/* Has the kernel refused for the moment only: memory that changes, or a limit that is reached. */
static int is_refused(void) {
  if (errno != EAGAIN && errno != ENOMEM) return 0;
  return server.refused = 1;
}

static uint64_t double_of(uint64_t size) { return size * 2 < CHUNK ? size * 2 : CHUNK; }

/* Places the page at `address`, and a few behind it if that is simple. */
static int place_at(struct memory *m, uint64_t address) {
  const struct piece *p = pieces_find(&m->pieces, address);
  if (!p || p->at.layer == NOTHING) return place_zeros(m, address);
  uint64_t shift = p->at.offset - p->at.address, end = p->at.address + p->at.length, stop;
  m->ahead = address == m->expected ? double_of(m->ahead) : AROUND;
  if (end > address + m->ahead) end = address + m->ahead;
  m->expected = end;
  if (next_data(p->at.layer, address + shift, end + shift, &stop) != address + shift) return place_zeros(m, address);
  if (place(m, p, address, stop - shift - address) > 0) return 0;
  return errno == ENOENT && place(m, p, address, PAGE) > 0 ? 0 : -1;
}

/* True when the fault is answered. What is there already, or no more ours, only needs to be looked at again by the task. */
static int answer(struct memory *m, uint64_t address) {
  if (place_at(m, address) == 0) return 1;
  if (is_refused()) return 0;
  if (errno != EEXIST && errno != ENOENT && errno != ESRCH) die("page");
  struct uffdio_range range = {address, PAGE};
  ioctl(m->uffd, UFFDIO_WAKE, &range);
  return 1;
}

static void answer_all(struct memory *m) {
  size_t left = 0;
  for (size_t i = 0; i < m->waiting; i++)
    if (!answer(m, m->faults[i])) m->faults[left++] = m->faults[i];
  m->waiting = left;
}

static void keep_fault(struct memory *m, uint64_t address) {
  if (m->waiting == m->room) {
    m->room = m->room * 2 + 16;
    m->faults = realloc(m->faults, m->room * sizeof *m->faults);
    if (!m->faults) die("faults");
  }
  m->faults[m->waiting++] = address & ~(PAGE - 1);
  if (server.step > AROUND) server.step = AROUND;
}

static void take_child(size_t parent, int uffd) {
  struct memory *child = add_memory(uffd);
  child->pieces = pieces_copy(&server.memories[parent].pieces);
}

static void hear(size_t index, const struct uffd_msg *message) {
  struct memory *m = &server.memories[index];
  switch (message->event) {
    case UFFD_EVENT_PAGEFAULT: return keep_fault(m, message->arg.pagefault.address);
    case UFFD_EVENT_FORK: return take_child(index, message->arg.fork.ufd);
    case UFFD_EVENT_REMAP: return pieces_move(&m->pieces, message->arg.remap.from, message->arg.remap.to, message->arg.remap.len);
    case UFFD_EVENT_REMOVE: return pieces_drop(&m->pieces, message->arg.remove.start, message->arg.remove.end);
    case UFFD_EVENT_UNMAP: return pieces_unmap(&m->pieces, message->arg.remove.start, message->arg.remove.end);
  }
}

static void hear_all(size_t index) {
  struct uffd_msg messages[MESSAGES];
  for (;;) {
    ssize_t size = read(server.memories[index].uffd, messages, sizeof messages);
    if (size < 0 && errno != EAGAIN && errno != EINTR) die("events");
    for (ssize_t i = 0; i < size / (ssize_t)sizeof *messages; i++) hear(index, &messages[i]);
    if (size < (ssize_t)sizeof messages) return;
  }
}

/* Brings the next chunk. False when there is nothing more to do here, now or ever. */
static int bring(struct memory *m) {
  struct piece *p = pieces_unfilled(&m->pieces);
  if (!p) return 0;
  uint64_t at = p->at.offset + p->filled, end = p->at.offset + p->at.length, stop, data = next_data(p->at.layer, at, end, &stop);
  p->filled = data - p->at.offset;
  if (data == end) return 1;
  uint64_t size = stop - data < server.step ? stop - data : server.step;
  int64_t placed = place(m, p, p->at.address + p->filled, size);
  // The mapping may have moved just now, which the kernel looks at first only: a second refusal tells that it has not.
  if (placed < 0 && errno == ENOENT && size == PAGE) placed = place(m, p, p->at.address + p->filled, size);
  if (placed > 0) p->filled += placed, server.step = double_of(server.step);
  else if (errno == ENOENT && size > PAGE) server.step = PAGE;
  else if (errno == EEXIST || errno == ENOENT) p->filled += PAGE;
  else if (errno == ESRCH) pieces_drop(&m->pieces, 0, ~0ULL);
  else if (is_refused()) return 0;
  else die("chunk");
  return 1;
}

static int is_through(struct memory *m) {
  if (pieces_unfilled(&m->pieces)) return 0;
  if (!pieces_pending(&m->pieces) || m->patience-- == 0) return 1;
  server.refused = 1;
  return 0;
}

static void listen_all(int wait) {
  struct timespec pause = {0, wait ? PAUSE_NS : 0};
  size_t count = server.count;
  for (size_t i = 0; i < count; i++) server.polls[i] = (struct pollfd){server.memories[i].uffd, POLLIN, 0};
  ppoll(server.polls, count, &pause, NULL);
  // Children are added behind, and read in the next turn.
  for (size_t i = 0; i < count; i++)
    if (server.polls[i].revents) hear_all(i);
}

static void serve(void) {
  while (server.count) {
    listen_all(server.refused);
    server.refused = 0;
    for (size_t i = server.count; i-- > 0;) answer_all(&server.memories[i]);
    // One chunk in all, so that faults wait for one chunk only.
    for (size_t i = server.count; i-- > 0 && !bring(&server.memories[i]);)
      if (is_through(&server.memories[i])) end_memory(&server.memories[i]);
  }
}

static int has_data(const struct region *r) {
  uint64_t stop, end = r->offset + r->length;
  return next_data(r->layer, r->offset, end, &stop) < end;
}

static int is_restored(const struct process *p, uint64_t address) {
  for (size_t i = 0; i < p->present_count; i++)
    if (address >= p->present[i].address && address < p->present[i].address + p->present[i].length) return 1;
  return 0;
}

/* Pages that are there although nobody restored them: the kernel writes into memory on its own (restartable sequences, robust
 * lists), and they hold nothing else. They would never be fetched, so they get their contents now. */
static void refresh(const struct process *p, const struct region *r, int memory, int pagemap) {
  uint64_t entries[512], stop, shift = r->offset - r->address, end = r->offset + r->length;
  for (uint64_t at = r->offset; (at = next_data(r->layer, at, end, &stop)) < end;) {
    uint64_t count = (stop - at) / PAGE < 512 ? (stop - at) / PAGE : 512;
    ssize_t size = pread(pagemap, entries, count * 8, (at - shift) / PAGE * 8);
    if (size != (ssize_t)count * 8) fail("page map");
    for (uint64_t i = 0; i < count; i++, at += PAGE)
      if (entries[i] >> 62 && !is_restored(p, at - shift)) copy_part(p->pid, memory, r, at - shift, at - shift + PAGE);
  }
}

static int open_of(pid_t pid, const char *name, int flags) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
  int fd = open(path, flags | O_CLOEXEC);
  if (fd < 0) fail(name);
  return fd;
}

/* The mapping that a region lies in: watching divides a mapping, and programs may be refused when they move what they made as
 * one. What no region has reads as zeros. */
static struct span mapping_of(const struct mappings *all, const struct region *r) {
  for (size_t i = 0; i < all->count; i++)
    if (all->list[i].start <= r->address && all->list[i].end >= r->address + r->length)
      return (struct span){all->list[i].start, all->list[i].end};
  return (struct span){r->address, r->address + r->length};
}

/* A region without contents is left to the kernel: programs reserve much that they never use. Returns the bytes watched. */
static uint64_t watch(const struct process *process, int device) {
  int uffd = -1;
  uint64_t watched = 0;
  const char *failed = take_userfaultfd(process->pid, device, &uffd);
  if (failed) fail(failed);
  struct uffdio_api api = {.api = UFFD_API, .features = FEATURES};
  if (ioctl(uffd, UFFDIO_API, &api) < 0) fail("userfaultfd events");
  struct memory *m = add_memory(uffd);
  struct mappings all;
  if (list_mappings(process->pid, (struct span){0, ADDRESS_END}, 0, &all) < 0) fail("maps");
  int memory = open_of(process->pid, "mem", O_RDWR), pagemap = open_of(process->pid, "pagemap", O_RDONLY);
  for (struct region *r = process->regions; r < process->regions + process->region_count; r++) {
    if (!has_data(r)) continue;
    struct span in = mapping_of(&all, r);
    struct uffdio_register request = {.range = {in.start, in.end - in.start}, .mode = UFFDIO_REGISTER_MODE_MISSING};
    refresh(process, r, memory, pagemap);
    if (ioctl(uffd, UFFDIO_REGISTER, &request) < 0) fail("register");
    pieces_add(&m->pieces, r);
    watched += r->length;
  }
  close(memory), close(pagemap), free_mappings(&all);
  return watched;
}

static void outlive_all(void) {
  static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGUSR1, SIGUSR2};
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) signal(signals[i], SIG_IGN);
  setsid();
  // Refused without CAP_SYS_RESOURCE: then memory pressure may choose us, and the keeper acts.
  write_text("/proc/self/oom_score_adj", "-1000");
}

/* Keeps the descriptors, which it shares with the filler, open until the victims are gone: they wait instead of reading zeros. */
static int keep(pid_t filler, int victim) {
  int status = 0;
  while (waitpid(filler, &status, 0) < 0 && errno == EINTR);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
  fprintf(stderr, "the filler ended with status %d: its processes are killed\n", status);
  syscall(SYS_pidfd_send_signal, victim, SIGKILL, NULL, 0);
  struct pollfd end = {victim, POLLIN, 0};
  while (poll(&end, 1, -1) < 0 && errno == EINTR);
  return 1;
}

int lazy_main(const struct job *job, const char *lock_path, pid_t victim_pid) {
  uint64_t watched = 0;
  outlive_all();
  int lock = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
  if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0) fail("lock");
  if (device < 0) fail("/dev/userfaultfd");
  int victim = syscall(SYS_pidfd_open, victim_pid, 0);
  if (victim < 0) fail("victim");
  for (size_t i = 0; i < job->count; i++) watched += watch(&job->processes[i], device);
  close(device);
  pid_t filler = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
  if (filler < 0) fail("fork");
  if (filler) return keep(filler, victim);
  printf("ok %llu\n", (unsigned long long)watched);
  fflush(stdout);
  serve();
  printf("done %llu\n", (unsigned long long)server.placed);
  fflush(stdout);
  _exit(0);
}
