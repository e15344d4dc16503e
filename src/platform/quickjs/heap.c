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
  fine = 1024,             /* up to here there is a class of sizes every 16 bytes, */
  largest = 32 << 10,      /* up to here four to each power of two, and above malloc(3) does it */
  fine_classes = fine / unit,
  classes = fine_classes + 4 * 5 + 1,
  huge = 2 << 20,          /* bytes of a huge page on x86-64 and on arm64 with pages of 4 KB */
  region = 2 * huge,       /* reserved at a time, with at least one whole huge page in it wherever it begins */
  batch = 256 << 10,       /* made ready at a time where pages are small */
};

/* A piece that was given back, in place of its content. */
struct vacant {
  struct vacant *next;
};

static struct vacant *vacant[classes];

/* The region pieces are cut from: the next one begins at `at`; pages are there up to `ready`. */
static uint8_t *at, *ready, *end;

static size_t *size_of(const void *piece) { return (size_t *)((uintptr_t)piece - header); }

/* The class that has room for `size` bytes, and that class's size. */
static unsigned class_of(size_t size, size_t *whole) {
  if (size <= fine) {
    *whole = (size + unit - 1) & ~(size_t)(unit - 1);
    return *whole / unit;
  }
  unsigned doublings = 63 - __builtin_clzl(size - 1) - 10;
  size_t gap = (size_t)(fine / 4) << doublings;
  *whole = (size + gap - 1) & ~(gap - 1);
  return fine_classes + 4 * doublings + (*whole - ((size_t)fine << doublings)) / gap;
}

static int reserve(void) {
  uint8_t *start = mmap(NULL, region, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (start == MAP_FAILED) return 0;
  ready = (uint8_t *)(((uintptr_t)start + huge - 1) & -(uintptr_t)huge);
  end = ready + ((start + region - ready) & -batch);
  at = ready + unit - header;
  madvise(ready, end - ready, MADV_HUGEPAGE);
  return 1;
}

/* The next piece of the region, or of a new one; NULL if the kernel gives none. */
static uint8_t *cut(size_t whole) {
  if ((size_t)(end - at) < whole && !reserve()) return NULL;
  /* In vain before Linux 5.14, where pages come one by one, and with no memory left, which the piece's user finds out. */
  for (; ready < at + whole; ready += batch) madvise(ready, batch, MADV_POPULATE_WRITE);
  uint8_t *piece = at + header;
  at += whole;
  return piece;
}

/*
 * A piece that nobody had before; NULL if there is no memory. Where that is limited (RLIMIT_AS) there may be no region any
 * more, but enough to say so: the engine does not outlive an error for which it finds no memory at all.
 */
static void *fresh(size_t whole) {
  uint8_t *piece = cut(whole);
  if (!piece) {
    uint8_t *block = malloc(unit - header + whole);
    if (!block) return NULL;
    piece = block + unit;
  }
  *size_of(piece) = whole;
  return piece;
}

static void *take(size_t size) {
  size_t whole;
  if (size > largest - header) {
    if (size > SIZE_MAX / 2) return NULL;
    uint8_t *block = malloc(size + unit);
    if (!block) return NULL;
    *size_of(block + unit) = size + header;
    return block + unit;
  }
  unsigned class = class_of(size + header, &whole);
  struct vacant *piece = vacant[class];
  if (!piece) return fresh(whole);
  vacant[class] = piece->next;
  return piece;
}

static void give_back(void *piece) {
  size_t whole = *size_of(piece), same;
  if (whole > largest) {
    free((uint8_t *)piece - unit);
    return;
  }
  unsigned class = class_of(whole, &same);
  *(struct vacant *)piece = (struct vacant){ vacant[class] };
  vacant[class] = piece;
}

static size_t usable(const void *piece) { return piece ? *size_of(piece) - header : 0; }

static void *heap_malloc(JSMallocState *state, size_t size) {
  void *piece = take(size);
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
  if (size <= had && had < largest) return piece;
  void *moved = heap_malloc(state, size);
  if (!moved) return NULL;
  memcpy(moved, piece, had < size ? had : size);
  heap_free(state, piece);
  return moved;
}

const JSMallocFunctions heap_functions = { heap_malloc, heap_free, heap_realloc, usable };
