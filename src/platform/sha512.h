#pragma once

#include <stddef.h>
#include <stdint.h>

enum { sha512_digits = 128 };

/* Writes the SHA-512 (FIPS 180-4) of some bytes as lower-case hex digits, with a NUL behind them. */
void sha512_hex(const uint8_t *bytes, size_t length, char hex[sha512_digits + 1]);
