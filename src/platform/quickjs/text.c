/* Where the engine and Node.js differ about text: broken UTF-8, half surrogate pairs, and what counts as JSON. */
#include "text.h"

#include <stdbool.h>
#include <string.h>

/*
 * How many of the `length` bytes at `p` are its first character. Where UTF-8 has no such character, a negative number:
 * how many bytes count as one mistake by the WHATWG's Encoding Standard, which Node.js goes by.
 */
static int character_length(const uint8_t *p, size_t length) {
  uint8_t lowest = 0x80, highest = 0xbf;
  int whole = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
  if (whole == 0) return -1;
  if (p[0] == 0xe0) lowest = 0xa0; /* shorter forms exist */
  if (p[0] == 0xed) highest = 0x9f; /* surrogates */
  if (p[0] == 0xf0) lowest = 0x90;
  if (p[0] == 0xf4) highest = 0x8f; /* beyond Unicode */
  for (int i = 1; i < whole; i++) {
    if ((size_t)i == length || p[i] < lowest || p[i] > highest) return -i;
    lowest = 0x80;
    highest = 0xbf;
  }
  return whole;
}

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

JSValue new_text(JSContext *ctx, const uint8_t *bytes, size_t length) {
  size_t good = 0, size = 0, mistakes = 0;
  int step;
  for (size_t at = 0; at < length; at += step < 0 ? -step : step) {
    step = character_length(bytes + at, length - at);
    if (step < 0) mistakes++;
    else if (mistakes == 0) good = at + step;
  }
  if (mistakes == 0) return JS_NewStringLen(ctx, (const char *)bytes, length);
  char *mended = js_malloc(ctx, length + mistakes * 3);
  if (!mended) return JS_EXCEPTION;
  memcpy(mended, bytes, size = good);
  for (size_t at = good; at < length; at += step < 0 ? -step : step) {
    step = character_length(bytes + at, length - at);
    memcpy(mended + size, step < 0 ? replacement : (const char *)bytes + at, step < 0 ? 3 : step);
    size += step < 0 ? 3 : step;
  }
  JSValue text = JS_NewStringLen(ctx, mended, size);
  js_free(ctx, mended);
  return text;
}

const char *utf8_of(JSContext *ctx, JSValueConst value, size_t *length) {
  const char *text = JS_ToCStringLen(ctx, length, value);
  /* The engine writes half a surrogate pair as if it were a character: three bytes, and so is U+FFFD. Text that is not
     ASCII is a copy of our own, to be mended in place. */
  for (char *at = (char *)text; text && (at = memchr(at, 0xed, text + *length - at)); at += 3)
    if ((uint8_t)at[1] >= 0xa0) memcpy(at, replacement, 3);
  return text;
}

const char *c_string_of(JSContext *ctx, JSValueConst value) {
  size_t length;
  const char *text = utf8_of(ctx, value, &length);
  if (!text || strlen(text) == length) return text;
  JS_FreeCString(ctx, text);
  JS_ThrowRangeError(ctx, "a NUL in a text for the kernel");
  return NULL;
}

JSValue js_loose_json_at(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv) {
  size_t length;
  const char *text = utf8_of(ctx, argv[0], &length);
  if (!text) return JS_EXCEPTION;
  const char *at = text;
  bool inside = false, found = false;
  for (; *at; at++) { /* each looks at one more only where that one is not the NUL at the end */
    if (*at == '"') inside = !inside;
    else if (inside && *at == '\\') {
      at++;
      found = *at == 'u' ? strspn(at + 1, "0123456789abcdefABCDEF") < 4 : !*at || !strchr("\"\\/bfnrt", *at);
    } else if (!inside && *at == '.') found = at[1] < '0' || at[1] > '9';
    else if (!inside && *at == '-') found = at[1] == '0' && at[2] >= '0' && at[2] <= '9';
    if (found) break;
  }
  /* As an index of the text, whose characters are one or two units of UTF-16. */
  int64_t index = found ? 0 : -1;
  for (const char *before = text; found && before < at; before++)
    index += ((uint8_t)*before & 0xc0) != 0x80 ? 1 + ((uint8_t)*before >= 0xf0) : 0;
  JS_FreeCString(ctx, text);
  return JS_NewInt64(ctx, index);
}
