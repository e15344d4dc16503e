/*
 * The heap as it is once all modules were evaluated is the same in every process. So the build takes it from one that
 * did just that, and puts it behind the program; a call reads it into memory instead of making it, in a tenth of the
 * time. It lies at a fixed address, so that pointers into it stay true. Those into the program, which lies elsewhere in
 * each process, are kept as distances from its beginning, and listed.
 */
#include "frozen.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "heap.h"

/* The first thing at the heap's place. */
struct frozen {
  struct heap_state heap;
  struct engine engine;
};

/* Where in the program's file the heap is: filled in by frozen.mjs, which knows it by its mark. */
static const volatile struct {
  char mark[16];
  uint64_t offset, bytes; /* of the heap, and behind it, of the list: */
  uint64_t pointers;      /* how many 32-bit numbers of 64-bit words that are pointers into the program */
} slot = { "a frozen heap: ", 0, 0, 0 };

/* The ELF header, which is where the program begins (ld.bfd and lld define it). */
extern const char __ehdr_start[];
extern const char _end[];

int may_freeze(void) { return !slot.bytes; }

static int read_all(int fd, uint8_t *to, size_t count, uint64_t offset) {
  while (count) {
    ssize_t got = pread(fd, to, count, offset);
    if (got <= 0) return 0;
    to += got, offset += got, count -= got;
  }
  return 1;
}

static int read_heap(uint8_t *home) {
  size_t list = slot.pointers * sizeof(uint32_t);
  int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  /* The list comes behind the heap, where nothing is yet. */
  int whole = read_all(fd, home, slot.bytes + list, slot.offset);
  close(fd);
  if (!whole) return 0;
  const uint32_t *words = (const uint32_t *)(home + slot.bytes);
  for (uint64_t i = 0; i < slot.pointers; i++) ((uint64_t *)home)[words[i]] += (uintptr_t)__ehdr_start;
  return 1;
}

int thaw(struct engine *engine) {
  if (!slot.bytes) return 0;
  uint8_t *home = heap_settle(slot.bytes + slot.pointers * sizeof(uint32_t));
  if (!home) return 0;
  if (!read_heap(home)) {
    heap_leave();
    return 0;
  }
  const struct frozen *frozen = (const struct frozen *)home;
  heap_resume(&frozen->heap);
  *engine = frozen->engine;
  JS_UpdateStackTop(engine->runtime);
  return 1;
}

int prepare_to_freeze(void) {
  if (!heap_settle(0)) return 0;
  heap_begin(sizeof(struct frozen));
  return 1;
}

static int write_all(const void *from, size_t count) {
  for (const uint8_t *at = from; count;) {
    ssize_t written = write(1, at, count);
    if (written <= 0) return 0;
    at += written, count -= written;
  }
  return 1;
}

int freeze(const struct engine *engine) {
  struct frozen *frozen = (struct frozen *)heap_home;
  frozen->engine = *engine;
  frozen->heap = heap;
  uintptr_t here = (uintptr_t)__builtin_frame_address(0), stack = 1 << 20;
  const uint64_t header[] = {
    (uintptr_t)__ehdr_start, (uintptr_t)_end, here - stack, here + stack, heap.at - (uint8_t *)frozen,
  };
  return write_all(header, sizeof header) && write_all(frozen, header[4]);
}
