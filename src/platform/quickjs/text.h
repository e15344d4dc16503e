#pragma once

#include "quickjs.h"

/* The text of UTF-8, U+FFFD for each mistake in it. The engine's own reader takes good bytes after a bad one for bad. */
JSValue new_text(JSContext *ctx, const uint8_t *bytes, size_t length);

/* A value as UTF-8, to be freed by JS_FreeCString; NULL, with an exception pending, if it has no text. */
const char *utf8_of(JSContext *ctx, JSValueConst value, size_t *length);

/* The same for C, which ends a text at its first NUL; one with a NUL inside answers NULL and a RangeError. */
const char *c_string_of(JSContext *ctx, JSValueConst value);

/*
 * looseJsonAt(text): where the engine's parser took something for JSON that is none, -1 if it did not. It has JavaScript's
 * escapes ("\x41", "\u{41}", "\a"), numbers that end in a point, and -01. Only for texts it has parsed.
 */
JSValue js_loose_json_at(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv);
