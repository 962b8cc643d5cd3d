/* Loaded before the C library: makes a chosen system call on files of one folder fail, or the last one of the process. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE, RENAME, SYNC, UNLINK, KINDS };
enum { DIE = -1 }; /* otherwise an errno; that of a full disk stays */

static char folder[4096];
static int kind = -1, action;
static long place, counts[KINDS];

void torture_arm(const char *where, int which, long at, int what) {
    snprintf(folder, sizeof folder, "%s/", where);
    memset(counts, 0, sizeof counts);
    place = at, action = what, kind = which;
}

long torture_count(int which) { return counts[which]; }

static int inside(const char *path) {
    /* Commands run in the folder. */
    return *folder && (*path != '/' || !strncmp(path, folder, strlen(folder)));
}

static int open_inside(int fd) {
    char link[64], path[4096];
    if (!*folder) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return 0;
    path[n] = 0;
    /* The folder itself is synced too. */
    size_t length = strlen(folder) - 1;
    return !strncmp(path, folder, length) && (path[length] == '/' || !path[length]);
}

static int hit(int which) {
    long n = __sync_add_and_fetch(&counts[which], 1);
    return which == kind && (n == place || (n > place && action == ENOSPC));
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

static int fails(int which) {
    if (!hit(which)) return 0;
    if (action == DIE) die();
    errno = action;
    return 1;
}

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

ssize_t write(int fd, const void *data, size_t n) {
    REAL(ssize_t, "write", int, const void *, size_t);
    if (open_inside(fd) && hit(WRITE)) {
        if (action != DIE) return errno = action, -1;
        real(fd, data, n / 2);
        die();
    }
    return real(fd, data, n);
}

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    if (open_inside(fd) && hit(WRITE)) {
        if (action != DIE) return errno = action, -1;
        real(fd, data, n / 2, at);
        die();
    }
    return real(fd, data, n, at);
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t at) { return pwrite64(fd, data, n, at); }

int fsync(int fd) {
    REAL(int, "fsync", int);
    return open_inside(fd) && fails(SYNC) ? -1 : real(fd);
}

int fdatasync(int fd) {
    REAL(int, "fdatasync", int);
    return open_inside(fd) && fails(SYNC) ? -1 : real(fd);
}

int rename(const char *from, const char *to) {
    REAL(int, "rename", const char *, const char *);
    return inside(to) && fails(RENAME) ? -1 : real(from, to);
}

int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    return inside(path) && fails(UNLINK) ? -1 : real(path);
}
