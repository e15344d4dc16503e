/*
 * The engine's memory. A call lives for milliseconds and asks for one to three megabytes in pieces of some ninety bytes.
 * What costs is less to keep account of them than that the kernel is asked for every page when it is first written to,
 * on a virtual machine often twice, the host too: a third of a call. So it comes as huge pages where the kernel has
 * them, else many pages at a time, and pieces given back are kept for the next of their size.
 */
#include "heap.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

enum {
  unit = 16,               /* what malloc(3) aligns to, and with it all code of the engine */
  header = 8,              /* before each piece: its size, header included */
  fine_classes = heap_fine / unit,
  huge = 2 << 20,          /* bytes of a huge page on x86-64 and on arm64 with pages of 4 KB */
  region = 2 * huge,       /* reserved at a time, with at least one whole huge page in it wherever it begins */
  batch = 256 << 10,       /* made ready at a time where pages are small */
  home_bytes = 8 << 20,    /* of addresses, not of memory */
};

/* A piece that was given back, in place of its content. */
struct vacant {
  struct vacant *next;
};

struct heap_state heap;

uint8_t *const heap_home = (uint8_t *)0x1000000000;

/* Have even the largest pieces to be in the home? */
static int all_at_home;

static int is_home(const uint8_t *piece) { return piece >= heap_home && piece < heap_home + home_bytes; }

static size_t *size_of(const void *piece) { return (size_t *)((uintptr_t)piece - header); }

static size_t usable(const void *piece) { return piece ? *size_of(piece) - header : 0; }

/* The class that has room for `size` bytes, and that class's size. */
static unsigned class_of(size_t size, size_t *whole) {
  if (size <= heap_fine) {
    *whole = (size + unit - 1) & ~(size_t)(unit - 1);
    return *whole / unit;
  }
  unsigned doublings = 63 - __builtin_clzl(size - 1) - 10;
  size_t gap = (size_t)(heap_fine / 4) << doublings;
  *whole = (size + gap - 1) & ~(gap - 1);
  return fine_classes + 4 * doublings + (*whole - ((size_t)heap_fine << doublings)) / gap;
}

/* Takes these addresses, which begin at a border of huge pages, as the region to cut from. */
static void use(uint8_t *start, size_t bytes) {
  heap.at = start + unit - header;
  heap.ready = start;
  heap.end = start + bytes;
  madvise(start, bytes, MADV_HUGEPAGE);
}

/* Has pages up to `to`. In vain before Linux 5.14, where they come one by one, and with no memory left, as is found out soon. */
static void make_ready(const uint8_t *to) {
  size_t bytes = (to - heap.ready + batch - 1) & -(size_t)batch;
  if (to <= heap.ready) return;
  madvise(heap.ready, bytes, MADV_POPULATE_WRITE);
  heap.ready += bytes;
}

uint8_t *heap_settle(size_t bytes) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
  uint8_t *home = mmap(heap_home, home_bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (home == MAP_FAILED) return NULL;
  if (home != heap_home || bytes > home_bytes) { /* before Linux 4.17 the address is a wish */
    munmap(home, home_bytes);
    return NULL;
  }
  use(home, home_bytes);
  make_ready(home + bytes);
  return home;
}

void heap_begin(size_t bytes) {
  heap.at += (bytes + unit - 1) & -(size_t)unit;
  all_at_home = 1;
}

void heap_resume(const struct heap_state *state) {
  uint8_t *ready = heap.ready;
  heap = *state;
  heap.ready = ready;
}

void heap_leave(void) {
  munmap(heap_home, home_bytes);
  heap = (struct heap_state){ 0 };
}

static int reserve(void) {
  if (all_at_home) return 0;
  uint8_t *start = mmap(NULL, region, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (start == MAP_FAILED) return 0;
  uint8_t *border = (uint8_t *)(((uintptr_t)start + huge - 1) & -(uintptr_t)huge);
  use(border, (start + region - border) & -(size_t)batch);
  return 1;
}

/* The next piece of the region, or of a new one; NULL if the kernel gives none. */
static uint8_t *cut(size_t whole) {
  if ((size_t)(heap.end - heap.at) < whole && !reserve()) return NULL;
  make_ready(heap.at + whole);
  uint8_t *piece = heap.at + header;
  heap.at += whole;
  return piece;
}

/*
 * A piece that was never used; NULL if there is no memory. Where that is limited (RLIMIT_AS) there may be no region any
 * more, but enough to say so: the engine does not outlive an error for which it finds no memory at all.
 */
static void *fresh(size_t whole) {
  uint8_t *piece = cut(whole);
  if (!piece && all_at_home) return NULL;
  if (!piece) {
    uint8_t *block = malloc(unit - header + whole);
    if (!block) return NULL;
    piece = block + unit;
  }
  *size_of(piece) = whole;
  return piece;
}

/* Old contents must not show in a heap that is to be the same at every build. */
static void *cleared(void *piece) {
  return piece && all_at_home ? memset(piece, 0, usable(piece)) : piece;
}

static void *take(size_t size) {
  size_t whole;
  if (size > heap_largest - header) {
    if (size > SIZE_MAX / 2) return NULL;
    if (all_at_home) return fresh((size + header + unit - 1) & -(size_t)unit);
    uint8_t *block = malloc(size + unit);
    if (!block) return NULL;
    *size_of(block + unit) = size + header;
    return block + unit;
  }
  unsigned class = class_of(size + header, &whole);
  struct vacant *piece = heap.vacant[class];
  if (!piece) return fresh(whole);
  heap.vacant[class] = piece->next;
  return piece;
}

static void give_back(void *piece) {
  size_t whole = *size_of(piece), same;
  if (whole > heap_largest) {
    if (!is_home(piece)) free((uint8_t *)piece - unit);
    return;
  }
  unsigned class = class_of(whole, &same);
  *(struct vacant *)piece = (struct vacant){ heap.vacant[class] };
  heap.vacant[class] = piece;
}

static void *heap_malloc(JSMallocState *state, size_t size) {
  void *piece = cleared(take(size));
  if (!piece) return NULL;
  state->malloc_count++;
  state->malloc_size += *size_of(piece);
  return piece;
}

static void heap_free(JSMallocState *state, void *piece) {
  if (!piece) return;
  state->malloc_count--;
  state->malloc_size -= *size_of(piece);
  give_back(piece);
}

static void *heap_realloc(JSMallocState *state, void *piece, size_t size) {
  if (!piece) return size ? heap_malloc(state, size) : NULL;
  if (!size) {
    heap_free(state, piece);
    return NULL;
  }
  size_t had = usable(piece);
  if (size <= had && had < heap_largest) return piece;
  void *moved = heap_malloc(state, size);
  if (!moved) return NULL;
  memcpy(moved, piece, had < size ? had : size);
  heap_free(state, piece);
  return moved;
}

const JSMallocFunctions heap_functions = { heap_malloc, heap_free, heap_realloc, usable };
