// Preloaded (LD_PRELOAD) into a test: from `nth_arm` on, the n-th file operation below $NTH_UNDER fails once.
// With $NTH_STOP, the name of a call, a process waits for its end before such a call below $NTH_UNDER.
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/xattr.h>
#include <unistd.h>

static int wanted = -1, number, count;
static char failed[160];

void nth_arm(int n, int error) { wanted = n; number = error; count = 0; failed[0] = 0; }
int nth_disarm(void) { wanted = -1; return count; }
const char *nth_failed(void) { return failed; }

static int is_below(const char *path) {
    static const char *under;
    if (!under && !(under = getenv("NTH_UNDER"))) return 0;
    return path && !strncmp(path, under, strlen(under));
}
static int fails(const char *what, const char *path) {
    const char *stop = getenv("NTH_STOP");
    while (stop && !strcmp(stop, what) && is_below(path)) pause();  // a sandbox forbids signals
    if (wanted < 0 || !is_below(path) || ++count != wanted) return 0;
    snprintf(failed, sizeof failed, "%s %.120s", what, path + strlen(getenv("NTH_UNDER")));
    errno = number;
    return 1;
}
static int fails_fd(const char *what, int fd) {
    char link[64], path[4096];
    if (wanted < 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return fails(what, path);
}
static int fails_at(const char *what, int folder, const char *path) {
    return path && path[0] == '/' ? fails(what, path) : folder == AT_FDCWD ? 0 : fails_fd(what, folder);
}

#define NEXT(name, type, parameters) static type(*next) parameters; if (!next) next = dlsym(RTLD_NEXT, #name)
#define PATH_CALL(type, name, parameters, arguments, path, failure) \
    type name parameters { NEXT(name, type, parameters); return fails(#name, path) ? failure : next arguments; }
#define FD_CALL(type, name, parameters, arguments, failure) \
    type name parameters { NEXT(name, type, parameters); return fails_fd(#name, fd) ? failure : next arguments; }
#define AT_CALL(type, name, parameters, arguments, folder, path) \
    type name parameters { NEXT(name, type, parameters); return fails_at(#name, folder, path) ? -1 : next arguments; }
#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        NEXT(name, int, (const char *, int, ...)); \
        va_list rest; va_start(rest, flags); mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; va_end(rest); \
        return fails(flags & O_CREAT ? "create" : "open", path) ? -1 : next(path, flags, mode); }
#define OPENAT(name) \
    int name(int folder, const char *path, int flags, ...) { \
        NEXT(name, int, (int, const char *, int, ...)); \
        va_list rest; va_start(rest, flags); mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; va_end(rest); \
        return fails_at(flags & O_CREAT ? "create" : "open", folder, path) ? -1 : next(folder, path, flags, mode); }

OPEN(open) OPEN(open64) OPENAT(openat) OPENAT(openat64)
FD_CALL(ssize_t, read, (int fd, void *to, size_t size), (fd, to, size), -1)
FD_CALL(ssize_t, pread, (int fd, void *to, size_t size, off_t at), (fd, to, size, at), -1)
FD_CALL(ssize_t, pread64, (int fd, void *to, size_t size, off64_t at), (fd, to, size, at), -1)
FD_CALL(ssize_t, write, (int fd, const void *from, size_t size), (fd, from, size), -1)
FD_CALL(ssize_t, pwrite, (int fd, const void *from, size_t size, off_t at), (fd, from, size, at), -1)
FD_CALL(ssize_t, pwrite64, (int fd, const void *from, size_t size, off64_t at), (fd, from, size, at), -1)
FD_CALL(ssize_t, sendfile, (int fd, int from, off_t *at, size_t size), (fd, from, at, size), -1)
FD_CALL(ssize_t, sendfile64, (int fd, int from, off64_t *at, size_t size), (fd, from, at, size), -1)
FD_CALL(int, fsync, (int fd), (fd), -1)
FD_CALL(int, fdatasync, (int fd), (fd), -1)
FD_CALL(int, ftruncate, (int fd, off_t size), (fd, size), -1)
FD_CALL(int, ftruncate64, (int fd, off64_t size), (fd, size), -1)
FD_CALL(int, fchmod, (int fd, mode_t mode), (fd, mode), -1)
FD_CALL(int, fchown, (int fd, uid_t user, gid_t group), (fd, user, group), -1)
FD_CALL(int, fstat, (int fd, struct stat *found), (fd, found), -1)
FD_CALL(int, fstat64, (int fd, struct stat64 *found), (fd, found), -1)
FD_CALL(DIR *, fdopendir, (int fd), (fd), NULL)
PATH_CALL(DIR *, opendir, (const char *path), (path), path, NULL)
PATH_CALL(int, stat, (const char *path, struct stat *found), (path, found), path, -1)
PATH_CALL(int, stat64, (const char *path, struct stat64 *found), (path, found), path, -1)
PATH_CALL(int, lstat, (const char *path, struct stat *found), (path, found), path, -1)
PATH_CALL(int, lstat64, (const char *path, struct stat64 *found), (path, found), path, -1)
PATH_CALL(int, rename, (const char *path, const char *to), (path, to), path, -1)
PATH_CALL(int, link, (const char *path, const char *to), (path, to), path, -1)
PATH_CALL(int, unlink, (const char *path), (path), path, -1)
PATH_CALL(int, rmdir, (const char *path), (path), path, -1)
PATH_CALL(int, mkdir, (const char *path, mode_t mode), (path, mode), path, -1)
PATH_CALL(int, chmod, (const char *path, mode_t mode), (path, mode), path, -1)
PATH_CALL(int, access, (const char *path, int mode), (path, mode), path, -1)
PATH_CALL(ssize_t, listxattr, (const char *path, char *list, size_t size), (path, list, size), path, -1)
PATH_CALL(ssize_t, llistxattr, (const char *path, char *list, size_t size), (path, list, size), path, -1)
AT_CALL(int, fstatat, (int folder, const char *path, struct stat *found, int flags), (folder, path, found, flags), folder, path)
AT_CALL(int, fstatat64, (int folder, const char *path, struct stat64 *found, int flags), (folder, path, found, flags), folder, path)
AT_CALL(int, renameat, (int folder, const char *path, int other, const char *to), (folder, path, other, to), folder, path)
AT_CALL(int, renameat2, (int folder, const char *path, int other, const char *to, unsigned flags), (folder, path, other, to, flags), folder, path)
AT_CALL(int, linkat, (int folder, const char *path, int other, const char *to, int flags), (folder, path, other, to, flags), folder, path)
AT_CALL(int, unlinkat, (int folder, const char *path, int flags), (folder, path, flags), folder, path)
AT_CALL(int, mkdirat, (int folder, const char *path, mode_t mode), (folder, path, mode), folder, path)
AT_CALL(int, utimensat, (int folder, const char *path, const struct timespec times[2], int flags), (folder, path, times, flags), folder, path)
void *mmap64(void *at, size_t size, int protection, int flags, int fd, off64_t from) {
    NEXT(mmap64, void *, (void *, size_t, int, int, int, off64_t));
    return fd >= 0 && fails_fd("mmap", fd) ? MAP_FAILED : next(at, size, protection, flags, fd, from);
}
