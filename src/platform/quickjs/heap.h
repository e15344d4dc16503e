/* The engine's memory. */
#ifndef HEAP_H
#define HEAP_H

#include "quickjs.h"

extern const JSMallocFunctions heap_functions;

#endif
