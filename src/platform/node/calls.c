/*
 * The system calls that node:fs does not have, as an addon of Node-API: an object of functions named after them. Each
 * takes numbers, and bytes for their address, and answers what the kernel does: a count or descriptor, or a negative
 * errno. It is linked with nothing, no C library either, so that it goes into Node.js of glibc and of musl alike: what it
 * calls of one, posix_spawn(3), it finds in the process, and their types are of the same size and form in both.
 */
#include <fcntl.h>
#include <node_api.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/syscall.h>

#include "../sha512.h"

enum { most_arguments = 6, most_texts = 16 * 1024, E2BIG = 7 };

/* glibc 2.36, musl 1.2.3: <spawn.h> */
_Static_assert(sizeof(posix_spawn_file_actions_t) == 80, "80 bytes in musl");
_Static_assert(sizeof(posix_spawnattr_t) == 336, "336 bytes in musl");
_Static_assert(sizeof(sigset_t) == 128, "128 bytes in musl");

static const struct {
  const char *name;
  long number;
} calls[] = {
  { "bind", SYS_bind },
  { "connect", SYS_connect },
  { "exit_group", SYS_exit_group },
  { "flock", SYS_flock },
  { "ioctl", SYS_ioctl },
  { "pipe2", SYS_pipe2 },
  { "ppoll", SYS_ppoll },
  { "recvfrom", SYS_recvfrom },
  { "sendto", SYS_sendto },
  { "setns", SYS_setns },
  { "setsockopt", SYS_setsockopt },
  { "socket", SYS_socket },
  { "sync_file_range", SYS_sync_file_range },
  { "unshare", SYS_unshare },
  { "wait4", SYS_wait4 },
};

static long system_call(long number, const long *args) {
#if defined(__x86_64__)
  register long fourth __asm__("r10") = args[3], fifth __asm__("r8") = args[4], sixth __asm__("r9") = args[5];
  long answer = number;
  __asm__ volatile("syscall"
                   : "+a"(answer)
                   : "D"(args[0]), "S"(args[1]), "d"(args[2]), "r"(fourth), "r"(fifth), "r"(sixth)
                   : "rcx", "r11", "memory");
#elif defined(__aarch64__)
  register long answer __asm__("x0") = args[0], second __asm__("x1") = args[1], third __asm__("x2") = args[2];
  register long fourth __asm__("x3") = args[3], fifth __asm__("x4") = args[4], sixth __asm__("x5") = args[5];
  register long call __asm__("x8") = number;
  __asm__ volatile("svc #0"
                   : "+r"(answer)
                   : "r"(second), "r"(third), "r"(fourth), "r"(fifth), "r"(sixth), "r"(call)
                   : "memory");
#else
#error "no system calls for this architecture"
#endif
  return answer;
}

/*
 * The arguments of a function as the kernel takes them; 0 with an exception pending if it is neither number nor bytes.
 */
static int to_argument(napi_env env, napi_value value, long *argument) {
  int64_t number;
  if (napi_get_value_int64(env, value, &number) == napi_ok) {
    *argument = number;
    return 1;
  }
  void *bytes;
  if (napi_get_buffer_info(env, value, &bytes, NULL) == napi_ok) {
    *argument = (intptr_t)bytes;
    return 1;
  }
  napi_throw_type_error(env, NULL, "a system call takes numbers and bytes");
  return 0;
}

/* The arguments of a call, 0 where there are fewer, and what its function was made with; 0 with an exception pending. */
static int take_arguments(napi_env env, napi_callback_info info, long *arguments, void **data) {
  napi_value values[most_arguments];
  size_t count = most_arguments;
  if (napi_get_cb_info(env, info, &count, values, NULL, data) != napi_ok) return 0;
  for (size_t i = 0; i < most_arguments; i++) {
    arguments[i] = 0;
    if (i < count && !to_argument(env, values[i], &arguments[i])) return 0;
  }
  return 1;
}

static napi_value to_value(napi_env env, long number) {
  napi_value value;
  return napi_create_int64(env, number, &value) == napi_ok ? value : NULL;
}

static napi_value call(napi_env env, napi_callback_info info) {
  long arguments[most_arguments];
  void *number;
  if (!take_arguments(env, info, arguments, &number)) return NULL;
  return to_value(env, system_call((intptr_t)number, arguments));
}

/* The first `count` of the C strings that follow each other at `text`, and NULL; answers where the next one begins. */
static char *take_texts(char *text, long count, char **texts) {
  for (long i = 0; i < count; i++) {
    texts[i] = text;
    while (*text++) continue;
  }
  texts[count] = NULL;
  return text;
}

static long start(char *texts, long argc, long envc, const long *descriptors) {
  /* Node.js ignores these two, and a program would go on to do so. */
  static const sigset_t none, defaults = { { 1UL << (SIGPIPE - 1) | 1UL << (SIGXFSZ - 1) } };
  char *argv[argc + 1], *environment[envc + 1];
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  pid_t pid;
  take_texts(take_texts(texts, argc, argv), envc, environment);
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawn_file_actions_init(&actions);
  int error = 0;
  for (int i = 0; i < 3 && !error; i++) error = posix_spawn_file_actions_adddup2(&actions, descriptors[i], i);
  if (!error) error = posix_spawn(&pid, argv[0], &actions, &attributes, argv, environment);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  return error ? -error : pid;
}

/*
 * spawn(texts, argc, envc, stdin, stdout, stderr): a program's pid, or a negative errno. `texts` are its arguments, the
 * first of which is its path, and then "NAME=value" of its environment, each with a NUL behind it.
 */
static napi_value spawn(napi_env env, napi_callback_info info) {
  long arguments[most_arguments];
  void *unused;
  if (!take_arguments(env, info, arguments, &unused)) return NULL;
  long argc = arguments[1], envc = arguments[2];
  int fit = argc > 0 && argc < most_texts && envc >= 0 && envc < most_texts;
  return to_value(env, fit ? start((char *)arguments[0], argc, envc, arguments + 3) : -E2BIG);
}

/*
 * exec(texts, argc, envc): becomes that program, whose `texts` are as for spawn; a negative errno if that fails. The two
 * signals that Node.js ignores are as they are by default again, and none is blocked: the kernel's own struct of all zeros.
 * The standard streams, which Node.js would have closed, stay open.
 */
static napi_value exec(napi_env env, napi_callback_info info) {
  static const uint64_t action[4], mask;
  long arguments[most_arguments];
  void *unused;
  if (!take_arguments(env, info, arguments, &unused)) return NULL;
  long argc = arguments[1], envc = arguments[2];
  if (argc <= 0 || argc >= most_texts || envc < 0 || envc >= most_texts) return to_value(env, -E2BIG);
  char *argv[argc + 1], *environment[envc + 1];
  take_texts(take_texts((char *)arguments[0], argc, argv), envc, environment);
  const long pipe[most_arguments] = { SIGPIPE, (intptr_t)action, 0, sizeof mask };
  const long size[most_arguments] = { SIGXFSZ, (intptr_t)action, 0, sizeof mask };
  const long unblock[most_arguments] = { SIG_SETMASK, (intptr_t)&mask, 0, sizeof mask };
  const long words[most_arguments] = { (intptr_t)argv[0], (intptr_t)argv, (intptr_t)environment };
  for (long fd = 0; fd < 3; fd++) {
    const long keep[most_arguments] = { fd, F_SETFD, 0 };
    system_call(SYS_fcntl, keep);
  }
  system_call(SYS_rt_sigaction, pipe);
  system_call(SYS_rt_sigaction, size);
  system_call(SYS_rt_sigprocmask, unblock);
  return to_value(env, system_call(SYS_execve, words));
}

/* sha512(bytes, length, hex): writes the 128 hex digits into `hex`. */
static napi_value sha512(napi_env env, napi_callback_info info) {
  long arguments[most_arguments];
  char hex[sha512_digits + 1];
  void *unused;
  if (!take_arguments(env, info, arguments, &unused)) return NULL;
  sha512_hex((const uint8_t *)arguments[0], arguments[1], hex);
  for (int i = 0; i < sha512_digits; i++) ((char *)arguments[2])[i] = hex[i];
  return to_value(env, 0);
}

static int add_function(napi_env env, napi_value exports, const char *name, napi_callback body, void *data) {
  napi_value function;
  return napi_create_function(env, name, NAPI_AUTO_LENGTH, body, data, &function) == napi_ok &&
         napi_set_named_property(env, exports, name, function) == napi_ok;
}

NAPI_MODULE_INIT() {
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
    if (!add_function(env, exports, calls[i].name, call, (void *)calls[i].number)) return NULL;
  if (!add_function(env, exports, "sha512", sha512, NULL)) return NULL;
  if (!add_function(env, exports, "exec", exec, NULL)) return NULL;
  return add_function(env, exports, "spawn", spawn, NULL) ? exports : NULL;
}
