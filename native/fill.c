/*
 * Gives restored processes the memory that lies in layers, while they wait for their first instruction.
 *
 *   init fill copy            writes it all, prints `ok BYTES` (what it wrote), and ends
 *   init fill lazy LOCK PID   prints `ok BYTES` (what it watches) when each access to a page waits for its contents; from
 *                             then on it serves these pages, brings the rest, prints `done BYTES`, and ends
 *
 * Descriptor 3 holds the job, which is read from its start to its end; descriptors from 10 on are the layers: sparse files
 * whose holes are zeros. The job's fields end with NUL, its numbers are decimal, its ranges are whole pages:
 *
 *   for each process, once for each address space:
 *     PID REGIONS {ADDRESS LENGTH LAYER OFFSET}... PRESENT {ADDRESS LENGTH}...
 *
 * PID is seen from here. A region is a private anonymous mapping, LAYER the descriptor's number, OFFSET the place in it.
 * PRESENT are ranges whose pages are there already and stay as they are. Both lists ascend without overlap. Until `ok` a
 * failure is `error STAGE ERRNO` and exit code 1, and the processes must not run.
 *
 * The lazy filler belongs to the processes, not to who started it: it has a session of its own, needs nobody at its other
 * descriptors, and ignores the signals that end a program. It holds a lock (flock) on the file LOCK to its end. When the
 * memory of all processes is gone it ends by itself. Without it pages would read as zeros, so that it has a keeper: when the
 * filler is killed, or cannot read a layer, the keeper kills PID, the first process of their PID namespace, and with it all
 * of them, which wait for their pages until then.
 */
#include "fill.h"

#define JOB_FD 3

void fail(const char *stage) {
  printf("error %s %d\n", stage, errno);
  fflush(stdout);
  exit(1);
}

/* The place that was looked up last is kept: a file system may walk through all of an extent to find its end. */
uint64_t next_data(int layer, uint64_t offset, uint64_t end, uint64_t *data_end) {
  static uint64_t start, stop;
  static int of = -1;
  if (of != layer || offset < start || offset >= stop) {
    off_t data = lseek(layer, offset, SEEK_DATA), hole = data < 0 ? -1 : lseek(layer, data, SEEK_HOLE);
    if (data < 0 && errno == ENXIO) return end;
    if (data < 0 || hole < 0) fail("layer");
    of = layer, start = data, stop = hole;
  }
  *data_end = stop < end ? stop : end;
  if (offset > start) return offset;
  return start < end ? start : end;
}

void read_layer(int layer, void *buffer, uint64_t size, uint64_t offset) {
  for (uint64_t got = 0; got < size;) {
    ssize_t n = pread(layer, (char *)buffer + got, size - got, offset + got);
    if (n < 0 && errno == EINTR) continue;
    if (n == 0) errno = ENODATA;
    if (n <= 0) die("layer");
    got += n;
  }
}

static char *read_job(size_t *size) {
  size_t room = 1 << 16;
  char *data = malloc(room);
  lseek(JOB_FD, 0, SEEK_SET);
  for (*size = 0; data;) {
    ssize_t n = read(JOB_FD, data + *size, room - *size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return NULL;
    if (n == 0) break;
    if ((*size += n) == room) data = realloc(data, room *= 2);
  }
  close(JOB_FD);
  return data;
}

/* A count and room for as many of SIZE bytes; a field is two bytes at least, so that a false count asks for little. */
static void *list_of(struct fields *f, size_t size, size_t *count) {
  long n = number_field(f);
  if (n < 0 || n > f->end - f->at) return NULL;
  *count = n;
  return calloc(n + 1, size);
}

/* The next range behind `after`, false when it is none. */
static int range_field(struct fields *f, uint64_t *after, uint64_t *address, uint64_t *length) {
  long start = number_field(f), size = number_field(f);
  if (start < 0 || size <= 0 || (start | size) % PAGE || (uint64_t)start < *after) return 0;
  *address = start, *length = size, *after = start + size;
  return 1;
}

/* What is missing at the end of a file would look like a hole. */
static int layer_has(int layer, uint64_t end) {
  static struct stat st;
  static int of = -1;
  if (of != layer && fstat(layer, &st) < 0) return 0;
  of = layer;
  return end <= (uint64_t)st.st_size;
}

static int process_field(struct fields *f, struct process *p) {
  uint64_t after = 0;
  p->pid = number_field(f);
  if (p->pid <= 0 || !(p->regions = list_of(f, sizeof *p->regions, &p->region_count))) return 0;
  for (struct region *r = p->regions; r < p->regions + p->region_count; r++) {
    if (!range_field(f, &after, &r->address, &r->length)) return 0;
    r->layer = number_field(f);
    long offset = number_field(f);
    if (r->layer <= JOB_FD || offset < 0 || offset % PAGE) return 0;
    r->offset = offset;
    if (!layer_has(r->layer, r->offset + r->length)) return 0;
  }
  after = 0;
  if (!(p->present = list_of(f, sizeof *p->present, &p->present_count))) return 0;
  for (struct range *r = p->present; r < p->present + p->present_count; r++)
    if (!range_field(f, &after, &r->address, &r->length)) return 0;
  return 1;
}

static int parse_job(struct job *job) {
  size_t size;
  char *data = read_job(&size);
  if (!data) return 0;
  struct fields f = {data, data + size};
  while (f.at < f.end) {
    job->processes = realloc(job->processes, (job->count + 1) * sizeof *job->processes);
    if (!job->processes || !process_field(&f, &job->processes[job->count++])) return errno = EINVAL, 0;
  }
  free(data);
  return 1;
}

int fill_main(char **argv) {
  struct job job = {0};
  int lazy = !strcmp(argv[0], "lazy") && argv[1] && argv[2];
  if (!lazy && strcmp(argv[0], "copy")) return fprintf(stderr, "usage: init fill copy|lazy LOCK PID\n"), 2;
  if (!parse_job(&job)) fail("job");
  if (lazy) return lazy_main(&job, argv[1], strtol(argv[2], NULL, 10));
  copy_all(&job);
  return 0;
}
