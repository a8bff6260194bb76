/* What a program does to the files below a folder: written down, or refused. Preloaded into the binary by tests.
 *
 * DISK_ROOT       the folder; what lies elsewhere is left alone
 * DISK_JOURNAL    a file to which every change and every sync is appended, in order (see tests/it/disk.rs)
 * DISK_DIE        the number of the record after which the program is dead, from 1
 * DISK_REFUSE     "link": hard links are refused, as file systems do that have none
 * DISK_FAIL_SYNC  the number of the sync that fails, from 1
 * DISK_STALL_SYNC a text: the sync of a file whose path holds it never ends
 *
 * A lock is held over each change and its record, so that the order of the records is the order of the changes. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define PATH 4096
#define REAL(name) ((__typeof__(&name))real(#name))

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH];
static size_t root_length;
static int journal = -1;
static int refuse_links;
static long fail_sync, die;
static const char *stall_sync;

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

__attribute__((constructor)) static void start(void) {
    const char *text = getenv("DISK_ROOT");
    if (!text) return;
    snprintf(root, sizeof root, "%s", text);
    root_length = strlen(root);
    text = getenv("DISK_JOURNAL");
    if (text) journal = REAL(open)(text, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    text = getenv("DISK_DIE");
    die = text ? atol(text) : 0;
    text = getenv("DISK_REFUSE");
    refuse_links = text && !strcmp(text, "link");
    text = getenv("DISK_FAIL_SYNC");
    fail_sync = text ? atol(text) : 0;
    stall_sync = getenv("DISK_STALL_SYNC");
}

static int below(const char *path) {
    return root_length && !strncmp(path, root, root_length) && (path[root_length] == '/' || !path[root_length]);
}

/* The absolute path; 1 when it is below the folder. */
static int named(int folder, const char *path, char *out) {
    if (path[0] == '/') {
        snprintf(out, PATH, "%s", path);
        return below(out);
    }
    char link[64];
    snprintf(link, sizeof link, folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", folder);
    ssize_t length = readlink(link, out, PATH - 1);
    if (length < 0) return 0;
    snprintf(out + length, PATH - (size_t)length, "/%s", path);
    return below(out);
}

/* The path of an open file; 1 when it is below the folder and has a name. */
static int opened(int fd, char *out) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, out, PATH - 1);
    if (length < 0) return 0;
    out[length] = 0;
    const char *end = " (deleted)";
    if ((size_t)length > strlen(end) && !strcmp(out + length - strlen(end), end)) return 0;
    return below(out);
}

static void put(const void *bytes, size_t length) {
    while (length) {
        ssize_t written = REAL(write)(journal, bytes, length);
        if (written <= 0) abort();
        bytes = (const char *)bytes + written;
        length -= (size_t)written;
    }
}

/* The kind, the inode, an offset or a length, and two texts with their lengths, all little-endian. */
static void record(char kind, uint64_t inode, uint64_t offset, const void *a, size_t a_length, const void *b, size_t b_length) {
    if (journal < 0) return;
    uint64_t head[5] = {(uint64_t)kind, inode, offset, a_length, b_length};
    put(head, sizeof head);
    put(a, a_length);
    put(b, b_length);
    if (die && --die == 0) _exit(137);
}

static void record_paths(char kind, uint64_t inode, const char *a, const char *b) {
    record(kind, inode, 0, a, strlen(a), b, b ? strlen(b) : 0);
}

static uint64_t inode_of(int fd) {
    struct stat of;
    return fstat(fd, &of) ? 0 : (uint64_t)of.st_ino;
}

static int open_any(int folder, const char *name, int flags, mode_t mode) {
    char path[PATH];
    if (!(flags & (O_CREAT | O_TRUNC)) || (flags & O_TMPFILE) == O_TMPFILE || !named(folder, name, path))
        return REAL(openat)(folder, name, flags, mode);
    pthread_mutex_lock(&lock);
    int existed = !access(path, F_OK);
    int fd = REAL(openat)(folder, name, flags, mode);
    int error = errno;
    if (fd >= 0 && !existed) record_paths('C', inode_of(fd), path, NULL);
    if (fd >= 0 && existed && (flags & O_TRUNC)) record('T', inode_of(fd), 0, "", 0, "", 0);
    pthread_mutex_unlock(&lock);
    errno = error;
    return fd;
}

#define MODE(flags, mode)                            \
    mode_t mode = 0;                                 \
    if (((flags) & O_CREAT) || ((flags) & O_TMPFILE) == O_TMPFILE) { \
        va_list list;                                \
        va_start(list, flags);                       \
        mode = va_arg(list, mode_t);                 \
        va_end(list);                                \
    }

int open(const char *name, int flags, ...) { MODE(flags, mode) return open_any(AT_FDCWD, name, flags, mode); }
int open64(const char *name, int flags, ...) { MODE(flags, mode) return open_any(AT_FDCWD, name, flags | O_LARGEFILE, mode); }
int openat(int folder, const char *name, int flags, ...) { MODE(flags, mode) return open_any(folder, name, flags, mode); }
int openat64(int folder, const char *name, int flags, ...) { MODE(flags, mode) return open_any(folder, name, flags | O_LARGEFILE, mode); }
int creat(const char *name, mode_t mode) { return open_any(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *name, mode_t mode) { return creat(name, mode); }

/* Does what changes a file's bytes, and writes down what lies between two offsets afterwards. */
static void record_bytes(int fd, off_t from, size_t length) {
    char path[PATH], link[64];
    if (!opened(fd, path) || journal < 0 || !length) return;
    /* Through a handle of its own: the program's may not be allowed to read. */
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    char *bytes = malloc(length);
    int reader = REAL(open)(link, O_RDONLY | O_CLOEXEC);
    if (!bytes || reader < 0 || pread(reader, bytes, length, from) != (ssize_t)length) abort();
    record('W', inode_of(fd), (uint64_t)from, "", 0, bytes, length);
    close(reader);
    free(bytes);
}

#define CHANGES(fd, call, from, length)      \
    char path[PATH];                         \
    if (!opened(fd, path)) return call;      \
    pthread_mutex_lock(&lock);               \
    __typeof__(call) done = call;            \
    int error = errno;                       \
    if (done > 0) record_bytes(fd, from, length); \
    pthread_mutex_unlock(&lock);             \
    errno = error;                           \
    return done;
#define BEFORE_HERE(fd) (lseek(fd, 0, SEEK_CUR) - done)

ssize_t write(int fd, const void *bytes, size_t length) { CHANGES(fd, REAL(write)(fd, bytes, length), BEFORE_HERE(fd), (size_t)done) }
ssize_t writev(int fd, const struct iovec *parts, int count) { CHANGES(fd, REAL(writev)(fd, parts, count), BEFORE_HERE(fd), (size_t)done) }
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { CHANGES(fd, REAL(pwrite)(fd, bytes, length, at), at, (size_t)done) }
ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t at) { CHANGES(fd, REAL(pwrite)(fd, bytes, length, at), at, (size_t)done) }
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) { CHANGES(fd, REAL(pwritev)(fd, parts, count, at), at, (size_t)done) }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t at) { CHANGES(fd, REAL(pwritev)(fd, parts, count, at), at, (size_t)done) }
ssize_t sendfile(int fd, int in, off_t *at, size_t length) { CHANGES(fd, REAL(sendfile)(fd, in, at, length), BEFORE_HERE(fd), (size_t)done) }
ssize_t sendfile64(int fd, int in, off_t *at, size_t length) { CHANGES(fd, REAL(sendfile)(fd, in, at, length), BEFORE_HERE(fd), (size_t)done) }
ssize_t copy_file_range(int in, off_t *from, int fd, off_t *at, size_t length, unsigned flags) {
    CHANGES(fd, REAL(copy_file_range)(in, from, fd, at, length, flags), at ? *at - done : BEFORE_HERE(fd), (size_t)done)
}

int ftruncate(int fd, off_t length) {
    char path[PATH];
    if (!opened(fd, path)) return REAL(ftruncate)(fd, length);
    pthread_mutex_lock(&lock);
    int done = REAL(ftruncate)(fd, length), error = errno;
    if (!done) record('T', inode_of(fd), (uint64_t)length, "", 0, "", 0);
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}
int ftruncate64(int fd, off_t length) { return ftruncate(fd, length); }

/* A change of one name or two. */
#define RENAMES(kind, of, call)                              \
    pthread_mutex_lock(&lock);                               \
    int done = call, error = errno;                          \
    if (!done && (of)) record_paths(kind, 0, a, b);          \
    pthread_mutex_unlock(&lock);                             \
    errno = error;                                           \
    return done;

static int rename_any(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
    char a[PATH], b[PATH];
    int of = named(from_folder, from, a) | named(to_folder, to, b);
    RENAMES('R', of, flags ? REAL(renameat2)(from_folder, from, to_folder, to, flags) : REAL(renameat)(from_folder, from, to_folder, to))
}
int rename(const char *from, const char *to) { return rename_any(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int from_folder, const char *from, int to_folder, const char *to) { return rename_any(from_folder, from, to_folder, to, 0); }
int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) { return rename_any(from_folder, from, to_folder, to, flags); }

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    char a[PATH], b[PATH];
    int of = named(from_folder, from, a) | named(to_folder, to, b);
    if (of && refuse_links) {
        errno = EPERM;
        return -1;
    }
    RENAMES('L', of, REAL(linkat)(from_folder, from, to_folder, to, flags))
}
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int unlinkat(int folder, const char *name, int flags) {
    char a[PATH];
    const char *b = NULL;
    int of = named(folder, name, a);
    RENAMES(flags & AT_REMOVEDIR ? 'D' : 'U', of, REAL(unlinkat)(folder, name, flags))
}
int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }

int mkdirat(int folder, const char *name, mode_t mode) {
    char path[PATH];
    if (!named(folder, name, path)) return REAL(mkdirat)(folder, name, mode);
    pthread_mutex_lock(&lock);
    int done = REAL(mkdirat)(folder, name, mode), error = errno;
    struct stat of;
    if (!done && !stat(path, &of)) record_paths('M', (uint64_t)of.st_ino, path, NULL);
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}
int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }

static int sync_any(int fd, int (*call)(int)) {
    char path[PATH];
    if (!opened(fd, path)) return call(fd);
    while (stall_sync && strstr(path, stall_sync)) pause();
    pthread_mutex_lock(&lock);
    int done, error;
    if (fail_sync && --fail_sync == 0) {
        done = -1;
        error = EIO;
    } else {
        done = call(fd);
        error = errno;
        if (!done) record_paths('S', inode_of(fd), path, NULL);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}
int fsync(int fd) { return sync_any(fd, REAL(fsync)); }
int fdatasync(int fd) { return sync_any(fd, REAL(fdatasync)); }
