#pragma once
// Counts the calling thread's allocations: the benchmark's own malloc stands in front of the C library's.
#include <stddef.h>

// Allocations of this thread since it began.
long martlet_allocations(void);
