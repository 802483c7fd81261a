#define _GNU_SOURCE
#include "CTestClock.h"

#include <stddef.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

static _Thread_local int is_set;
static _Thread_local struct timeval manual;

void martlet_test_clock_set(long long nanoseconds) {
  is_set = 1;
  // Not at zero, which OpenSSL takes for "no timer".
  manual = (struct timeval){.tv_sec = 1000000 + nanoseconds / 1000000000, .tv_usec = nanoseconds % 1000000000 / 1000};
}

void martlet_test_clock_release(void) { is_set = 0; }

// Takes the place of the C library's in test executables.
int gettimeofday(struct timeval *restrict time, void *restrict zone) {
  (void)zone;
  if (!is_set) return (int)syscall(SYS_gettimeofday, time, NULL);
  *time = manual;
  return 0;
}
