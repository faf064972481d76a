/* Writes the contents of layers into processes that wait. */
#include "fill.h"
#include <sys/uio.h>

#define BUFFER (256 << 10) /* small enough to stay in a processor's cache between the two copies */
#define SLICE (2 << 20)    /* what one page of page tables maps: writers at different ones do not wait for each other */
#define WRITERS 4
#define WORTH_SHARING (16 << 20)

/* A writer among several: each takes its own slices. */
static struct {
  unsigned index, count;
  uint64_t written;
  char buffer[BUFFER];
} writer;

static int is_zero(const char *page) {
  return !*(const uint64_t *)page && !memcmp(page, page + 8, PAGE - 8);
}

/* Runs of pages that are not zero. Returns their number. */
static int find_runs(uint64_t address, uint64_t size, struct iovec *local, struct iovec *remote) {
  int count = 0, open = 0;
  for (uint64_t at = 0; at < size; at += PAGE) {
    int zero = is_zero(writer.buffer + at);
    if (!zero && !open) local[count] = (struct iovec){writer.buffer + at, 0}, remote[count++] = (struct iovec){(char *)(address + at), 0};
    if (!zero) local[count - 1].iov_len = remote[count - 1].iov_len += PAGE;
    open = !zero;
  }
  return count;
}

/* A mapping that is not writable takes its pages through the file of its memory only, which is a little slower. */
static void write_runs(pid_t pid, int memory, const struct iovec *local, const struct iovec *remote, int count) {
  ssize_t size = 0;
  for (int i = 0; i < count; i++) size += local[i].iov_len;
  writer.written += size;
  if (size == 0 || process_vm_writev(pid, local, count, remote, count, 0) == size) return;
  for (int i = 0; i < count; i++)
    if (pwrite(memory, local[i].iov_base, local[i].iov_len, (off_t)remote[i].iov_base) != (ssize_t)local[i].iov_len) die("write");
}

/* [AT, END) of a region without pages of its own. */
static void copy_range(pid_t pid, int memory, const struct region *r, uint64_t at, uint64_t end) {
  static struct iovec local[BUFFER / PAGE], remote[BUFFER / PAGE];
  uint64_t shift = r->offset - r->address, stop;
  while ((at = next_data(r->layer, at + shift, end + shift, &stop) - shift) < end) {
    uint64_t next = (at / SLICE + 1) * SLICE, size = (stop - shift < next ? stop - shift : next) - at;
    if ((at / SLICE) % writer.count != writer.index) {
      at += size;
      continue;
    }
    if (size > BUFFER) size = BUFFER;
    read_layer(r->layer, writer.buffer, size, at + shift);
    write_runs(pid, memory, local, remote, find_runs(at, size, local, remote));
    at += size;
  }
}

void copy_part(pid_t pid, int memory, const struct region *r, uint64_t at, uint64_t end) {
  writer.index = 0, writer.count = 1;
  copy_range(pid, memory, r, at, end);
}

static void copy_process(const struct process *p) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/mem", p->pid);
  int memory = check(open(path, O_RDWR | O_CLOEXEC), path);
  const struct range *present = p->present, *last = present + p->present_count;
  for (const struct region *r = p->regions; r < p->regions + p->region_count; r++) {
    uint64_t at = r->address, end = at + r->length;
    while (present < last && present->address + present->length <= at) present++;
    for (const struct range *q = present; q < last && q->address < end; q++) {
      if (at < q->address) copy_range(p->pid, memory, r, at, q->address);
      at = q->address + q->length;
    }
    if (at < end) copy_range(p->pid, memory, r, at, end);
  }
  close(memory);
}

static unsigned writers_for(const struct job *job) {
  uint64_t size = 0;
  cpu_set_t set;
  for (size_t i = 0; i < job->count; i++)
    for (size_t j = 0; j < job->processes[i].region_count; j++) size += job->processes[i].regions[j].length;
  if (size < WORTH_SHARING || sched_getaffinity(0, sizeof set, &set) < 0) return 1;
  return CPU_COUNT(&set) < WRITERS ? CPU_COUNT(&set) : WRITERS;
}

static int write_share(const struct job *job, unsigned index, int report) {
  writer.index = index;
  for (size_t i = 0; i < job->count; i++) copy_process(job->processes + i);
  return write_all(report, &writer.written, sizeof writer.written) < 0;
}

/* A writer that fails says why on standard error, and reports nothing. */
void copy_all(const struct job *job) {
  uint64_t total = 0, part;
  int report[2];
  writer.count = writers_for(job);
  if (pipe2(report, O_CLOEXEC) < 0) fail("pipe");
  for (unsigned i = 0; i < writer.count; i++) {
    pid_t pid = fork();
    if (pid == 0) _exit(write_share(job, i, report[1]));
    if (pid < 0) fail("fork");
  }
  close(report[1]);
  for (unsigned i = 0; i < writer.count; i++, total += part)
    if (read_all(report[0], &part, sizeof part) < 0) errno = EIO, fail("copy");
  while (wait(NULL) > 0);
  printf("ok %llu\n", (unsigned long long)total);
}
