/* A disk that tells what a power cut would leave: preloaded into a process, it writes to the file
 * $DISK_JOURNAL what each fsync and fdatasync has made durable, after the call has returned:
 *
 *     file BYTES PATH     the first BYTES bytes of a file
 *     entry PATH          the name of a file in its directory
 *
 * Each call takes at least two milliseconds, so that there is something to lose. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void append(const char *text, size_t bytes) {
    int journal = open(getenv("DISK_JOURNAL"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (journal < 0 || write(journal, text, bytes) != (ssize_t)bytes) abort();
    close(journal);
}

static int make_durable(int fd, const char *call) {
    int (*disk)(int) = (int (*)(int))dlsym(RTLD_NEXT, call);
    char link[64], path[PATH_MAX], *text = NULL;
    size_t bytes = 0;
    struct stat now;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path);
    if (length < 0 || length == sizeof path || fstat(fd, &now)) return disk(fd);

    FILE *lines = open_memstream(&text, &bytes);
    if (S_ISDIR(now.st_mode)) {
        struct dirent **names;
        path[length] = 0;
        int count = scandir(path, &names, NULL, NULL);
        for (int i = 0; i < count; i++) {
            fprintf(lines, "entry %s/%s\n", path, names[i]->d_name);
            free(names[i]);
        }
        if (count >= 0) free(names);
    } else {
        fprintf(lines, "file %lld %.*s\n", (long long)now.st_size, (int)length, path);
    }
    fclose(lines);
    usleep(2000);
    int result = disk(fd);
    if (result == 0) append(text, bytes);
    free(text);
    return result;
}

int fsync(int fd) { return make_durable(fd, "fsync"); }
int fdatasync(int fd) { return make_durable(fd, "fdatasync"); }
