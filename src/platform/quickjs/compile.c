/*
 * Runs at build time: turns the modules of a bundle, files in the current folder, into one C file with their bytecode,
 * the table `modules` that program.c looks them up in. Behind the word "--" are those that no heap is frozen with.
 * Without the source; line numbers stay, as with them goes the name that import() starts from.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quickjs.h"

/* Imported modules are compiled separately: here it need only be there. */
static JSModuleDef *stand_in(JSContext *ctx, const char *name, void *opaque) {
  return JS_NewCModule(ctx, name, NULL);
}

static char *read_file(const char *name, size_t *length) {
  FILE *file = fopen(name, "r");
  if (!file || fseek(file, 0, SEEK_END)) return NULL;
  *length = ftell(file);
  rewind(file);
  char *text = malloc(*length + 1);
  if (!text || fread(text, 1, *length, file) != *length) return NULL;
  text[*length] = 0; /* JS_Eval wants it */
  fclose(file);
  return text;
}

static int fail(JSContext *ctx, const char *name) {
  JSValue error = JS_GetException(ctx);
  const char *text = JS_ToCString(ctx, error);
  fprintf(stderr, "%s: %s\n", name, text ? text : "not compiled");
  return 1;
}

int main(int argc, char **argv) {
  int frozen = 0;
  printf("#include <stddef.h>\n#include <stdint.h>\n");
  for (int i = 1; i < argc; i++) {
    if (!strcmp(argv[i], "--")) {
      frozen = i - 1;
      continue;
    }
    /* One runtime a module: none must find the stand-in of an earlier one under its own name. */
    JSRuntime *runtime = JS_NewRuntime();
    JSContext *ctx = JS_NewContext(runtime);
    size_t length, size;
    char *text = read_file(argv[i], &length);
    if (!text) {
      perror(argv[i]);
      return 1;
    }
    JS_SetStripInfo(runtime, JS_STRIP_SOURCE);
    JS_SetModuleLoaderFunc(runtime, NULL, stand_in, NULL);
    JSValue code = JS_Eval(ctx, text, length, argv[i], JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY);
    if (JS_IsException(code)) return fail(ctx, argv[i]);
    uint8_t *bytes = JS_WriteObject(ctx, &size, code, JS_WRITE_OBJ_BYTECODE);
    if (!bytes) return fail(ctx, argv[i]);
    printf("static const uint8_t module%d[] = {", i);
    for (size_t at = 0; at < size; at++) printf("%s%d,", at % 32 ? "" : "\n", bytes[at]);
    printf("};\n");
  }
  printf("const struct { const char *name; const uint8_t *code; size_t size; } modules[] = {\n");
  for (int i = 1; i < argc; i++)
    if (strcmp(argv[i], "--")) printf("  { \"%s\", module%d, sizeof module%d },\n", argv[i], i, i);
  printf("  { NULL, NULL, 0 },\n};\n");
  printf("const int frozen_modules = %d;\n", frozen ? frozen : argc - 1);
  return 0;
}
