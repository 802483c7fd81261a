#pragma once
// The files of Web/, inside the binary.
#include <stddef.h>

typedef struct {
  const char *name;
  const unsigned char *bytes;
  size_t count;
} martlet_web_file;

// The list ends with an entry whose name is NULL.
const martlet_web_file *martlet_web_files(void);
