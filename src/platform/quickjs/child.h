/* Other programs. In each, signals are as they are by default, SIGPIPE too, which we ignore. */
#pragma once

#include "quickjs.h"

/*
 * spawn(path, argv, environment, stdin, stdout, stderr, group): the child's pid, or a negative errno. With `group` it leads a
 * process group of its own. In C because
 * posix_spawn(3) shares memory with the child until it has become the program, which nothing interpreted could bear.
 */
JSValue js_spawn(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv);

/* exec(path, argv, environment): becomes that program; a negative errno if that fails. */
JSValue js_exec(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv);
