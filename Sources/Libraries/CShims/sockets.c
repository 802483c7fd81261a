#define _GNU_SOURCE
#include "CShims.h"

#include <fcntl.h>

int martlet_set_nonblocking(int fd) {
  int flags = fcntl(fd, F_GETFL, 0);
  return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}
