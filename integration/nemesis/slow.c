/* A disk that is slow while the file $SLOW exists: each fdatasync then takes 0.2 s more. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

int fdatasync(int file) {
  static int (*real)(int);
  if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  const char *slow = getenv("SLOW");
  if (slow && access(slow, F_OK) == 0) usleep(200000);
  return real(file);
}
