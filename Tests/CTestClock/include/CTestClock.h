#pragma once

// The wall clock of the calling thread, for OpenSSL's DTLS timer, which asks gettimeofday(): it stands where a test puts it.
void martlet_test_clock_set(long long nanoseconds);
// The system's time again.
void martlet_test_clock_release(void);
