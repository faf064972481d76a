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

void pieces_free(struct pieces *list) { free(list->items), free(list->announced); }

void pieces_drop(struct pieces *list, uint64_t start, uint64_t end) {
  struct pieces dropped = cut(list, start, end);
  pieces_free(&dropped);
}

static void announce(struct pieces *list, uint64_t address, uint64_t length) {
  list->announced = realloc(list->announced, (list->announced_count + 1) * sizeof *list->announced);
  if (!list->announced) die("pieces");
  list->announced[list->announced_count++] = (struct range){address, length};
}

static int overlap(const struct range *r, uint64_t start, uint64_t end) {
  return r->address < end && r->address + r->length > start;
}

/* The kernel tells that the old place was unmapped in another event, after this one was read: by then another thread may have
 * moved something else to it. In the same way something may move to where pieces still are, because the event that
 * unmapped them comes late. Both must not take away what is there now. */
void pieces_move(struct pieces *list, uint64_t from, uint64_t to, uint64_t length) {
  struct pieces moved = cut(list, from, from + length), left = cut(list, to, to + length);
  announce(list, from, length);
  for (size_t i = 0; i < left.count; i++) announce(list, left.items[i].at.address, left.items[i].at.length);
  for (size_t i = 0; i < moved.count; i++) moved.items[i].at.address += to - from;
  if (moved.count) replace(list, first_behind(list, to), 0, moved.items, moved.count);
  pieces_free(&moved), pieces_free(&left);
}

void pieces_unmap(struct pieces *list, uint64_t start, uint64_t end) {
  size_t i = 0;
  while (i < list->announced_count && !overlap(&list->announced[i], start, end)) i++;
  if (i == list->announced_count) return pieces_drop(list, start, end);
  uint64_t known = list->announced[i].address, known_end = known + list->announced[i].length;
  list->announced[i] = list->announced[--list->announced_count];
  if (known < start) announce(list, known, start - known);
  if (known_end > end) announce(list, end, known_end - end);
  if (start < known) pieces_unmap(list, start, known);
  if (known_end < end) pieces_unmap(list, known_end, end);
}
