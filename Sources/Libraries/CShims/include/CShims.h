#pragma once
// What Swift cannot import: variadic system calls, macros, and batches of socket writes.
#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

int martlet_set_nonblocking(int fd);
