#define _GNU_SOURCE
#include "CShims.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/openat2.h>
#include <sys/syscall.h>
#endif

// Each segment by itself: none is a link, empty, or climbs.
static int open_stepwise(int folder, const char *path, int flags) {
  char copy[PATH_MAX];
  if (strlen(path) >= sizeof copy) return -ENAMETOOLONG;
  strcpy(copy, path);
  int current = folder;
  char *rest = copy;
  for (;;) {
    char *slash = strchr(rest, '/');
    if (slash) *slash = 0;
    int is_bad = *rest == 0 || strcmp(rest, ".") == 0 || strcmp(rest, "..") == 0;
    int next = is_bad ? -1 : openat(current, rest, (slash ? O_DIRECTORY | O_RDONLY : flags) | O_NOFOLLOW | O_CLOEXEC);
    int code = is_bad ? EINVAL : errno;
    if (current != folder) close(current);
    if (next < 0) return -code;
    if (!slash) return next;
    current = next;
    rest = slash + 1;
  }
}

int martlet_open_beneath(int folder, const char *path, int flags) {
#ifdef SYS_openat2
  struct open_how how = {
      .flags = (unsigned)flags | O_CLOEXEC,
      .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
  };
  long fd = syscall(SYS_openat2, folder, path, &how, sizeof how);
  if (fd >= 0) return (int)fd;
  if (errno != ENOSYS && errno != EPERM && errno != EAGAIN) return -errno;
#endif
  return open_stepwise(folder, path, flags);
}

int martlet_set_attribute(int fd, const char *name, const void *value, size_t length) {
#ifdef __linux__
  return fsetxattr(fd, name, value, length, 0) == 0 ? 0 : -errno;
#else
  return fsetxattr(fd, name, value, length, 0, 0) == 0 ? 0 : -errno;
#endif
}

long martlet_get_attribute(int fd, const char *name, void *value, size_t capacity) {
#ifdef __linux__
  ssize_t count = fgetxattr(fd, name, value, capacity);
#else
  ssize_t count = fgetxattr(fd, name, value, capacity, 0, 0);
#endif
  return count >= 0 ? (long)count : -errno;
}
