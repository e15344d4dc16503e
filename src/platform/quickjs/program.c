/*
 * A program that is QuickJS, the bytecode of the bundle, and what JavaScript cannot do by itself: system calls.
 * It offers as little as possible, one global object named "kernel"; all that node:fs, timers and child processes
 * mean is made of it in TypeScript (kernel.ts says what each function takes and answers).
 * One thread, no JIT, no files read, no environment variable obeyed (but glibc's own GLIBC_TUNABLES): what starts is
 * what was built.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "child.h"
#include "frozen.h"
#include "heap.h"
#include "../sha512.h"
#include "quickjs.h"
#include "text.h"

/* The modules' bytecode, as compile.c wrote it, the first one the program's entry. */
extern const struct {
  const char *name;
  const uint8_t *code;
  size_t size;
} modules[];

/* As many of them, from the first one on, are evaluated before a heap is frozen; the others are for people's calls. */
extern const int frozen_modules;

enum { most_arguments = 6 };

/* Memory in use at which the engine looks for garbage in cycles; other garbage goes at once. No usual call gets there. */
enum { cycles_bytes = 16 << 20 };

static const struct {
  const char *name;
  int number;
} numbers[] = {
#define CALL(name) { #name, SYS_##name }
  CALL(bind), CALL(clock_gettime), CALL(close), CALL(connect), CALL(exit_group), CALL(faccessat), CALL(fchmod),
  CALL(flock), CALL(fsync), CALL(ftruncate), CALL(getcwd), CALL(getdents64), CALL(getpid), CALL(getrandom),
  CALL(ioctl), CALL(kill), CALL(linkat), CALL(mkdirat), CALL(openat), CALL(pipe2), CALL(ppoll), CALL(pread64),
  CALL(read), CALL(readlinkat), CALL(recvfrom), CALL(renameat), CALL(rt_sigprocmask), CALL(sendto), CALL(setns),
  CALL(setsockopt), CALL(signalfd4), CALL(socket), CALL(statfs), CALL(statx),
  CALL(sync_file_range), CALL(unlinkat), CALL(unshare), CALL(utimensat),
  CALL(wait4), CALL(write),
#undef CALL
};

/* Is this process to freeze its heap? Nothing that differs from process to process may get into it. */
static int freezing;

/* The engine's clock (linked with --wrap): it makes the first state of Math.random() of it, before any module could. */
int __real_gettimeofday(struct timeval *now, void *zone);
int __wrap_gettimeofday(struct timeval *now, void *zone) {
  if (!freezing) return __real_gettimeofday(now, zone);
  *now = (struct timeval){ 0 };
  return 0;
}

/* Where `value`'s bytes are, if it is a typed array; NULL, with an exception pending, otherwise. */
static uint8_t *bytes_of(JSContext *ctx, JSValueConst value, size_t *length) {
  size_t offset, size, whole;
  JSValue buffer = JS_GetTypedArrayBuffer(ctx, value, &offset, &size, NULL);
  if (JS_IsException(buffer)) return NULL;
  uint8_t *start = JS_GetArrayBuffer(ctx, &whole, buffer);
  JS_FreeValue(ctx, buffer);
  if (!start) return NULL;
  *length = size;
  return start + offset;
}

/* syscall(number, ...arguments): numbers as they are, text as a C string, bytes as their address. */
static JSValue js_syscall(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv) {
  int32_t number;
  long arguments[most_arguments] = { 0 };
  const char *texts[most_arguments] = { NULL };
  JSValue answer = JS_EXCEPTION;
  if (freezing) return JS_ThrowTypeError(ctx, "a module that makes a system call when it is evaluated cannot be frozen");
  if (JS_ToInt32(ctx, &number, argv[0])) return JS_EXCEPTION;
  for (int i = 0; i < most_arguments && i + 1 < argc; i++) {
    JSValueConst value = argv[i + 1];
    if (JS_IsNumber(value)) {
      int64_t whole;
      if (JS_ToInt64(ctx, &whole, value)) goto done;
      arguments[i] = whole;
    } else if (JS_IsString(value)) {
      size_t length;
      texts[i] = utf8_of(ctx, value, &length);
      if (!texts[i]) goto done;
      if (strlen(texts[i]) != length) {
        answer = JS_NewInt32(ctx, -EINVAL); /* the kernel would take the part before the NUL for the whole */
        goto done;
      }
      arguments[i] = (long)texts[i];
    } else {
      size_t length;
      uint8_t *bytes = bytes_of(ctx, value, &length);
      if (!bytes) goto done;
      arguments[i] = (long)bytes;
    }
  }
  long result = syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
  answer = JS_NewInt64(ctx, result < 0 ? -errno : result);
done:
  for (int i = 0; i < most_arguments; i++) JS_FreeCString(ctx, texts[i]);
  return answer;
}

/* decode(bytes, start, end): the text of UTF-8. */
static JSValue js_decode(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv) {
  size_t length;
  int64_t start, end;
  if (JS_ToInt64(ctx, &start, argv[1]) || JS_ToInt64(ctx, &end, argv[2])) return JS_EXCEPTION;
  uint8_t *bytes = bytes_of(ctx, argv[0], &length);
  if (!bytes) return JS_EXCEPTION;
  if (start < 0 || end < start || (uint64_t)end > length) return JS_ThrowRangeError(ctx, "decode: out of range");
  return new_text(ctx, bytes + start, end - start);
}

/* encode(text): its UTF-8, as an ArrayBuffer. */
static JSValue js_encode(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv) {
  size_t length;
  const char *text = utf8_of(ctx, argv[0], &length);
  if (!text) return JS_EXCEPTION;
  JSValue buffer = JS_NewArrayBufferCopy(ctx, (const uint8_t *)text, length);
  JS_FreeCString(ctx, text);
  return buffer;
}

/* error(errno): its name and the C library's words for it. */
static JSValue js_error(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv) {
  int32_t number;
  if (JS_ToInt32(ctx, &number, argv[0])) return JS_EXCEPTION;
  const char *name = strerrorname_np(number);
  JSValue pair = JS_NewArray(ctx);
  JS_SetPropertyUint32(ctx, pair, 0, JS_NewString(ctx, name ? name : "EUNKNOWN"));
  JS_SetPropertyUint32(ctx, pair, 1, JS_NewString(ctx, strerror(number)));
  return pair;
}

/* find(bytes, wanted, start): where `wanted` begins in `bytes`, from `start` on; -1 if nowhere. */
static JSValue js_find(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv) {
  size_t length, wanted_length;
  int64_t start;
  uint8_t *bytes = bytes_of(ctx, argv[0], &length), *wanted = bytes ? bytes_of(ctx, argv[1], &wanted_length) : NULL;
  if (!wanted || JS_ToInt64(ctx, &start, argv[2])) return JS_EXCEPTION;
  if (start < 0 || (uint64_t)start > length) return JS_NewInt32(ctx, -1);
  uint8_t *found = memmem(bytes + start, length - start, wanted, wanted_length);
  return JS_NewInt64(ctx, found ? found - bytes : -1);
}

/* sha512(text): of its UTF-8, in lower-case hex. */
static JSValue js_sha512(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv) {
  size_t length;
  char hex[sha512_digits + 1];
  const char *text = utf8_of(ctx, argv[0], &length);
  if (!text) return JS_EXCEPTION;
  sha512_hex((const uint8_t *)text, length, hex);
  JS_FreeCString(ctx, text);
  return JS_NewString(ctx, hex);
}

static JSValue array_of(JSContext *ctx, char **texts) {
  JSValue array = JS_NewArray(ctx);
  for (uint32_t i = 0; texts[i]; i++)
    JS_SetPropertyUint32(ctx, array, i, new_text(ctx, (const uint8_t *)texts[i], strlen(texts[i])));
  return array;
}

/* abort(): ends the process here and now, by SIGABRT. */
static JSValue js_abort(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv) {
  abort();
}

static JSValue new_kernel(JSContext *ctx) {
  static const JSCFunctionListEntry functions[] = {
    JS_CFUNC_DEF("abort", 0, js_abort),   JS_CFUNC_DEF("decode", 3, js_decode),   JS_CFUNC_DEF("encode", 1, js_encode),
    JS_CFUNC_DEF("error", 1, js_error),   JS_CFUNC_DEF("exec", 3, js_exec),       JS_CFUNC_DEF("find", 3, js_find),
    JS_CFUNC_DEF("looseJsonAt", 1, js_loose_json_at), JS_CFUNC_DEF("sha512", 1, js_sha512),
    JS_CFUNC_DEF("spawn", 7, js_spawn),   JS_CFUNC_DEF("syscall", 7, js_syscall),
  };
  JSValue kernel = JS_NewObject(ctx);
  JS_SetPropertyFunctionList(ctx, kernel, functions, sizeof functions / sizeof *functions);
  JSValue table = JS_NewObject(ctx);
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
    JS_SetPropertyStr(ctx, table, numbers[i].name, JS_NewInt32(ctx, numbers[i].number));
  JS_SetPropertyStr(ctx, kernel, "numbers", table);
  return kernel;
}

/* Values that differ from process to process. */
struct process {
  double started_ms;
  char **arguments, **environment;
};

static void describe_process(const struct engine *engine, const struct process *process) {
  JSContext *ctx = engine->ctx;
  JS_SetPropertyStr(ctx, engine->kernel, "startedMs", JS_NewFloat64(ctx, process->started_ms));
  JS_SetPropertyStr(ctx, engine->kernel, "arguments", array_of(ctx, process->arguments));
  JS_SetPropertyStr(ctx, engine->kernel, "environment", array_of(ctx, process->environment));
}

/*
 * A lease or a netlink socket must not get the number of a closed standard stream. What stands in answers as a closed
 * one does, EBADF: an ADD whose answer cannot be delivered undoes what it did.
 */
static void fill_standard_streams(void) {
  for (int fd = 0; fd < 3; fd++)
    if (fcntl(fd, F_GETFD) < 0 && open("/", O_PATH) < 0) abort();
}

/*
 * Deeply nested JSON must end in an error of the parser, not of the process. Half of what the main thread may use, for
 * arguments and environment lie there too, and what C functions need is not counted.
 */
static size_t stack_bytes(void) {
  enum { most = 4 << 20 };
  struct rlimit limit;
  if (getrlimit(RLIMIT_STACK, &limit) || limit.rlim_cur / 2 > most) return most;
  return limit.rlim_cur / 2;
}

/* A rejected promise without a handler, and its reason: the end of the program, if it gets none. */
static struct rejection {
  struct rejection *next;
  JSValue promise, reason;
} *rejections;

static void track_rejection(JSContext *ctx, JSValueConst promise, JSValueConst reason, JS_BOOL handled, void *opaque) {
  struct rejection **at = &rejections;
  while (*at && (!handled || JS_VALUE_GET_PTR((*at)->promise) != JS_VALUE_GET_PTR(promise))) at = &(*at)->next;
  if (handled) {
    struct rejection *taken = *at;
    if (!taken) return;
    *at = taken->next;
    JS_FreeValue(ctx, taken->promise);
    JS_FreeValue(ctx, taken->reason);
    free(taken);
  } else {
    struct rejection *added = malloc(sizeof *added);
    if (!added) abort();
    *added = (struct rejection){ NULL, JS_DupValue(ctx, promise), JS_DupValue(ctx, reason) };
    *at = added;
  }
}

static _Noreturn void die(JSContext *ctx, JSValueConst error) {
  const char *text = JS_ToCString(ctx, error);
  if (!text) text = "an error without words";
  (void)!write(2, text, strlen(text));
  (void)!write(2, "\n", 1);
  _exit(1);
}

/* A module that is not in the frozen heap is unpacked when something imports it. */
static JSModuleDef *load_module(JSContext *ctx, const char *name, void *opaque) {
  for (int i = 0; modules[i].name; i++) {
    if (strcmp(modules[i].name, name)) continue;
    JSValue code = JS_ReadObject(ctx, modules[i].code, modules[i].size, JS_READ_OBJ_BYTECODE);
    return JS_IsException(code) ? NULL : JS_VALUE_GET_PTR(code);
  }
  JS_ThrowReferenceError(ctx, "no module \"%s\" in this program", name);
  return NULL;
}

static double monotonic_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

/* An engine in which the program's first module was evaluated. */
static void make_engine(struct engine *engine, const struct process *process) {
  JSRuntime *runtime = JS_NewRuntime2(&heap_functions, NULL);
  JSContext *ctx = runtime ? JS_NewContext(runtime) : NULL;
  if (!ctx) abort();
  JS_SetGCThreshold(runtime, cycles_bytes);
  JS_SetMaxStackSize(runtime, stack_bytes());
  JS_SetCanBlock(runtime, 1);
  *engine = (struct engine){ runtime, ctx, new_kernel(ctx) };
  JSValue global = JS_GetGlobalObject(ctx);
  JS_SetPropertyStr(ctx, global, "kernel", JS_DupValue(ctx, engine->kernel));
  JS_FreeValue(ctx, global);
  if (!freezing) describe_process(engine, process);
  JS_SetHostPromiseRejectionTracker(runtime, track_rejection, NULL);
  JS_SetModuleLoaderFunc(runtime, NULL, load_module, NULL);
  JSValue entry = JS_ReadObject(ctx, modules[0].code, modules[0].size, JS_READ_OBJ_BYTECODE);
  if (JS_IsException(entry) || JS_ResolveModule(ctx, entry) < 0) die(ctx, JS_GetException(ctx));
  JSValue evaluated = JS_EvalFunction(ctx, entry);
  if (JS_IsException(evaluated)) die(ctx, JS_GetException(ctx));
  JS_FreeValue(ctx, evaluated);
}

/* Has promises' continuations done what they can. */
static void run_jobs(JSRuntime *runtime) {
  JSContext *at;
  int jobs;
  while ((jobs = JS_ExecutePendingJob(runtime, &at)) > 0) continue;
  if (jobs < 0) die(at, JS_GetException(at));
}

/* Calls a function that the modules have put into the object "kernel"; 0 if there is none, or it answers so. */
static int call(const struct engine *engine, const char *name) {
  JSContext *ctx = engine->ctx;
  JSValue function = JS_GetPropertyStr(ctx, engine->kernel, name);
  if (!JS_IsFunction(ctx, function)) return 0;
  JSValue answer = JS_Call(ctx, function, engine->kernel, 0, NULL);
  JS_FreeValue(ctx, function);
  if (JS_IsException(answer)) die(ctx, JS_GetException(ctx));
  return JS_ToBool(ctx, answer);
}

/* Evaluates the modules that plugins are made of, and writes what they have made of the heap to standard output. */
static _Noreturn void freeze_all(void) {
  struct engine engine;
  freezing = 1;
  if (!prepare_to_freeze()) _exit(1);
  make_engine(&engine, NULL);
  for (int i = 1; i < frozen_modules; i++)
    JS_FreeValue(engine.ctx, JS_LoadModule(engine.ctx, modules[0].name, modules[i].name));
  run_jobs(engine.runtime);
  if (rejections) die(engine.ctx, rejections->reason);
  JS_RunGC(engine.runtime);
  JS_SetMaxStackSize(engine.runtime, 0); /* or the end of this process's stack stays in there */
  _exit(!freeze(&engine));
}

int main(int argc, char **argv, char **environment) {
  const struct process process = { monotonic_ms(), argv, environment };
  struct engine engine;
  fill_standard_streams();
  signal(SIGCHLD, SIG_DFL); /* ignored by our parent, it would be by us, and no child leave an exit code */
  signal(SIGPIPE, SIG_IGN); /* a runtime that has ended is an error of write(2), after which the call undoes its steps */
  if (argc && !strcmp(argv[0], "freeze") && may_freeze()) freeze_all();
  if (thaw(&engine)) {
    JS_SetMaxStackSize(engine.runtime, stack_bytes());
    describe_process(&engine, &process);
  } else {
    make_engine(&engine, &process);
  }
  call(&engine, "start");
  /* When no promise has anything to do, the bundle's event loop says what else there is to wait for. */
  do {
    run_jobs(engine.runtime);
  } while (call(&engine, "turn"));
  if (rejections) die(engine.ctx, rejections->reason);
  _exit(0);
}
