/* A disk that stands still while the file $DISK_STALLED is there: preloaded into a node, it holds up what the node makes durable. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int make_durable(int fd, const char *call) {
    int (*disk)(int) = (int (*)(int))dlsym(RTLD_NEXT, call);
    while (strcmp(program_invocation_short_name, "trireme") == 0 && access(getenv("DISK_STALLED"), F_OK) == 0) usleep(5000);
    return disk(fd);
}

int fsync(int fd) { return make_durable(fd, "fsync"); }
int fdatasync(int fd) { return make_durable(fd, "fdatasync"); }
