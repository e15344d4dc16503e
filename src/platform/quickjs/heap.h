/* The engine's memory. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quickjs.h"

extern const JSMallocFunctions heap_functions;

enum {
  heap_fine = 1024,        /* up to here there is a class of sizes every 16 bytes, */
  heap_largest = 32 << 10, /* up to here four to each power of two, and above malloc(3) does it */
  heap_classes = heap_fine / 16 + 4 * 5 + 1,
};

/* Everything that is known of the memory. */
extern struct heap_state {
  struct vacant *vacant[heap_classes];
  /* The region pieces are cut from: the next one begins at `at`; pages are there up to `ready`. */
  uint8_t *at, *ready, *end;
} heap;

/*
 * Where a heap that is to be the same in every process lies: low enough for arm64 with 39 bits of addresses, and far from
 * where the kernel puts programs, their stacks and mappings.
 */
extern uint8_t *const heap_home;

/* Takes the home as the region to cut from, with `bytes` ready at its start. NULL if it is taken or there is no memory. */
uint8_t *heap_settle(size_t bytes);

/* Cuts nothing from the first `bytes` of the home, and takes pieces of every size from there. */
void heap_begin(size_t bytes);

/* Goes on from the state that the heap in the home was left in. */
void heap_resume(const struct heap_state *state);

/* Gives the home back to the kernel, with nothing in it in use. */
void heap_leave(void);
