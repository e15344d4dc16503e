/* A heap made ready at build time, and how a process goes on from it. */
#pragma once

#include "quickjs.h"

/* What a process needs of a heap to go on: an engine, its only context, and the object "kernel" of program.c. */
struct engine {
  JSRuntime *runtime;
  JSContext *ctx;
  JSValue kernel;
};

/* Puts the heap in its place that the build has put behind the program; 0 if there is none, or no room for it. */
int thaw(struct engine *engine);

/* May this program be asked for its heap? Not any more when it has one. */
int may_freeze(void);

/* Has all memory come from where a heap is thawed to; 0 if that place is taken. For a process that will `freeze`. */
int prepare_to_freeze(void);

/* Writes the heap to standard output as scripts/compilers/frozen.mjs reads it; 0 if that fails. */
int freeze(const struct engine *engine);
