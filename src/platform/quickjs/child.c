#include "child.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <unistd.h>

#include "text.h"

static void free_texts(JSContext *ctx, char **texts) {
  for (char **text = texts; text && *text; text++) JS_FreeCString(ctx, *text);
  free(texts);
}

/* An array of texts as a NULL-terminated array of C strings; NULL, with an exception pending, if it is none. */
static char **texts_of(JSContext *ctx, JSValueConst array) {
  uint32_t count;
  JSValue length = JS_GetPropertyStr(ctx, array, "length");
  if (JS_ToUint32(ctx, &count, length)) return NULL;
  char **texts = calloc(count + 1UL, sizeof *texts);
  if (!texts) JS_ThrowOutOfMemory(ctx);
  for (uint32_t i = 0; texts && i < count; i++) {
    JSValue value = JS_GetPropertyUint32(ctx, array, i);
    texts[i] = (char *)c_string_of(ctx, value);
    JS_FreeValue(ctx, value);
    if (!texts[i]) {
      free_texts(ctx, texts);
      return NULL;
    }
  }
  return texts;
}

JSValue js_spawn(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv) {
  JSValue answer = JS_EXCEPTION;
  int32_t descriptors[3];
  for (int i = 0; i < 3; i++)
    if (JS_ToInt32(ctx, &descriptors[i], argv[3 + i])) return JS_EXCEPTION;
  const char *path = c_string_of(ctx, argv[0]);
  char **arguments = texts_of(ctx, argv[1]), **environment = texts_of(ctx, argv[2]);
  if (path && arguments && environment) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    pid_t pid;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_init(&attributes);
    int group = JS_ToBool(ctx, argv[6]) ? POSIX_SPAWN_SETPGROUP : 0; /* by default the one that it would lead */
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | group);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawn_file_actions_init(&actions);
    for (int i = 0; i < 3; i++) posix_spawn_file_actions_adddup2(&actions, descriptors[i], i);
    int error = posix_spawn(&pid, path, &actions, &attributes, arguments, environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    answer = JS_NewInt32(ctx, error ? -error : pid);
  }
  free_texts(ctx, environment);
  free_texts(ctx, arguments);
  JS_FreeCString(ctx, path);
  return answer;
}

JSValue js_exec(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv) {
  JSValue answer = JS_EXCEPTION;
  const char *path = c_string_of(ctx, argv[0]);
  char **arguments = texts_of(ctx, argv[1]), **environment = texts_of(ctx, argv[2]);
  if (path && arguments && environment) {
    sigset_t none, blocked;
    sigemptyset(&none);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, &blocked); /* what we wait for in ppoll(2) must end the other program */
    execve(path, arguments, environment);
    answer = JS_NewInt32(ctx, -errno);
    sigprocmask(SIG_SETMASK, &blocked, NULL);
    signal(SIGPIPE, SIG_IGN);
  }
  free_texts(ctx, environment);
  free_texts(ctx, arguments);
  JS_FreeCString(ctx, path);
  return answer;
}
