/* The parts of a process's memory that a layer has contents for: a list that ascends, as its mappings move and go. */
#include "pieces.h"

static uint64_t end_of(const struct piece *p) { return p->at.address + p->at.length; }

/* The first piece that ends behind `address`. */
static size_t first_behind(const struct pieces *list, uint64_t address) {
  size_t low = 0, high = list->count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (end_of(&list->items[middle]) <= address) low = middle + 1;
    else high = middle;
  }
  return low;
}

static struct piece part_of(const struct piece *p, uint64_t start, uint64_t end) {
  struct piece part = *p;
  uint64_t skipped = start - p->at.address;
  part.at.address = start, part.at.length = end - start, part.at.offset += skipped;
  part.filled = p->filled > skipped ? p->filled - skipped : 0;
  if (part.filled > part.at.length) part.filled = part.at.length;
  return part;
}

/* Puts `count` pieces in the place of the `gone` ones from `at` on. */
static void replace(struct pieces *list, size_t at, size_t gone, const struct piece *items, size_t count) {
  size_t wanted = list->count - gone + count;
  if (wanted > list->room) {
    list->room = wanted * 2;
    list->items = realloc(list->items, list->room * sizeof *items);
    if (!list->items) die("pieces");
  }
  struct piece *place = list->items + at;
  memmove(place + count, place + gone, (list->count - at - gone) * sizeof *items);
  memcpy(place, items, count * sizeof *items);
  list->count = wanted;
  list->next = 0;
}

void pieces_add(struct pieces *list, const struct region *region) {
  struct piece piece = {*region, 0};
  replace(list, list->count, 0, &piece, 1);
}

struct piece *pieces_find(const struct pieces *list, uint64_t address) {
  size_t i = first_behind(list, address);
  return i < list->count && list->items[i].at.address <= address ? &list->items[i] : NULL;
}

struct piece *pieces_unfilled(struct pieces *list) {
  for (; list->next < list->count; list->next++)
    if (list->items[list->next].filled < list->items[list->next].at.length) return &list->items[list->next];
  return NULL;
}

struct pieces pieces_copy(const struct pieces *list) {
  struct pieces copy = {0};
  replace(&copy, 0, 0, list->items, list->count);
  return copy;
}

/* Takes [from, end) out of the list, and returns it as a list of its own. */
static struct pieces cut(struct pieces *list, uint64_t from, uint64_t end) {
  struct pieces taken = {0};
  struct piece rest[2];
  size_t first = first_behind(list, from), last = first, left = 0;
  for (; last < list->count && list->items[last].at.address < end; last++) {
    const struct piece *p = &list->items[last];
    uint64_t start = p->at.address > from ? p->at.address : from, stop = end_of(p) < end ? end_of(p) : end;
    struct piece part = part_of(p, start, stop);
    replace(&taken, taken.count, 0, &part, 1);
    if (p->at.address < start) rest[left++] = part_of(p, p->at.address, start);
    if (end_of(p) > stop) rest[left++] = part_of(p, stop, end_of(p));
  }
  if (last > first) replace(list, first, last - first, rest, left);
  return taken;
}

void pieces_free(struct pieces *list) { free(list->items), free(list->older); }

int pieces_pending(const struct pieces *list) {
  for (size_t i = 0; i < list->older_count; i++)
    if (list->older[i].at.layer >= 0) return 1;
  return 0;
}

/* The place stays known: it is watched, and may move. */
void pieces_drop(struct pieces *list, uint64_t start, uint64_t end) {
  struct pieces dropped = cut(list, start, end);
  for (size_t i = 0; i < dropped.count; i++) dropped.items[i].at.layer = NOTHING, dropped.items[i].filled = dropped.items[i].at.length;
  if (dropped.count) replace(list, first_behind(list, start), 0, dropped.items, dropped.count);
  pieces_free(&dropped);
}

static void remember(struct pieces *list, size_t at, const struct piece *piece) {
  list->older = realloc(list->older, (list->older_count + 1) * sizeof *piece);
  if (!list->older) die("pieces");
  memmove(list->older + at + 1, list->older + at, (list->older_count++ - at) * sizeof *piece);
  list->older[at] = *piece;
}

static int overlaps(const struct piece *p, uint64_t start, uint64_t end) { return p->at.address < end && end_of(p) > start; }

/* Takes what lies in [start, end) out of an older piece; the rest of it stays. */
static struct piece take_older(struct pieces *list, size_t i, uint64_t start, uint64_t end) {
  struct piece whole = list->older[i];
  uint64_t from = whole.at.address > start ? whole.at.address : start, to = end_of(&whole) < end ? end_of(&whole) : end;
  struct piece before = part_of(&whole, whole.at.address, from), behind = part_of(&whole, to, end_of(&whole));
  memmove(list->older + i, list->older + i + 1, (--list->older_count - i) * sizeof whole);
  if (behind.at.length) remember(list, i, &behind);
  if (before.at.length) remember(list, i, &before);
  return part_of(&whole, from, to);
}

/* What moves: older pieces when there are any, because they were there first. */
static struct pieces take_moved(struct pieces *list, uint64_t start, uint64_t end) {
  struct pieces moved = {0};
  for (size_t i = 0; i < list->older_count;) {
    struct piece *p = &list->older[i];
    uint64_t from = p->at.address > start ? p->at.address : start;
    size_t at = first_behind(&moved, from);
    int taken = at < moved.count && overlaps(&moved.items[at], from, end_of(p) < end ? end_of(p) : end);
    if (p->at.layer == LEFT || !overlaps(p, start, end) || taken) {
      i++;
      continue;
    }
    struct piece part = take_older(list, i, start, end);
    replace(&moved, at, 0, &part, 1);
    i = 0;
  }
  return moved.count ? moved : cut(list, start, end);
}

/* Threads that change mappings tell of it after they have done so, and not always in the same order: another may have moved
 * something to a place before the event is read that took away what was there. What is still there by our list is then
 * kept as older, and the event that comes is about it. The unmapping of the place that something moved from is told in an
 * event of its own, later. Nothing is placed meanwhile: the kernel refuses until all events are read. */
void pieces_move(struct pieces *list, uint64_t from, uint64_t to, uint64_t length) {
  struct pieces moved = take_moved(list, from, from + length), there = cut(list, to, to + length);
  struct piece left = {{from, length, 0, LEFT}, length};
  remember(list, list->older_count, &left);
  for (size_t i = 0; i < there.count; i++) remember(list, list->older_count, &there.items[i]);
  for (size_t i = 0; i < moved.count; i++) moved.items[i].at.address += to - from;
  if (moved.count) replace(list, first_behind(list, to), 0, moved.items, moved.count);
  pieces_free(&moved), pieces_free(&there);
}

void pieces_unmap(struct pieces *list, uint64_t start, uint64_t end) {
  size_t i = 0;
  while (i < list->older_count && !overlaps(&list->older[i], start, end)) i++;
  if (i == list->older_count) {
    struct pieces gone = cut(list, start, end);
    return pieces_free(&gone);
  }
  struct piece known = take_older(list, i, start, end);
  if (start < known.at.address) pieces_unmap(list, start, known.at.address);
  if (end_of(&known) < end) pieces_unmap(list, end_of(&known), end);
}
