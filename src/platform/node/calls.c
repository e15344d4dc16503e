/*
 * The system calls that node:fs does not have, as an addon of Node-API: an object of functions named after them. Each
 * takes numbers, and bytes for their address, and answers what the kernel does: a count or descriptor, or a negative
 * errno. It is linked with nothing, no C library either, so that it goes into Node.js of glibc and of musl alike.
 */
#include <node_api.h>
#include <stdint.h>
#include <sys/syscall.h>

enum { most_arguments = 6 };

static const struct {
  const char *name;
  long number;
} calls[] = {
  { "bind", SYS_bind },
  { "flock", SYS_flock },
  { "recvfrom", SYS_recvfrom },
  { "sendto", SYS_sendto },
  { "setns", SYS_setns },
  { "setsockopt", SYS_setsockopt },
  { "socket", SYS_socket },
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

/* What a function is called with as the kernel takes it; 0 with an exception pending if it is neither number nor bytes. */
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

static napi_value call(napi_env env, napi_callback_info info) {
  napi_value values[most_arguments], answer;
  long arguments[most_arguments] = { 0 };
  size_t count = most_arguments;
  void *number;
  if (napi_get_cb_info(env, info, &count, values, NULL, &number) != napi_ok) return NULL;
  for (size_t i = 0; i < count && i < most_arguments; i++)
    if (!to_argument(env, values[i], &arguments[i])) return NULL;
  long result = system_call((intptr_t)number, arguments);
  return napi_create_int64(env, result, &answer) == napi_ok ? answer : NULL;
}

NAPI_MODULE_INIT() {
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
    napi_value function;
    const char *name = calls[i].name;
    if (napi_create_function(env, name, NAPI_AUTO_LENGTH, call, (void *)calls[i].number, &function) != napi_ok ||
        napi_set_named_property(env, exports, name, function) != napi_ok)
      return NULL;
  }
  return exports;
}
