/* A library for LD_PRELOAD that makes system calls fail, and that records them. See preload.py.

   faults_plan  "SEED RATE BURST CALLS PATH": of the CALLS (comma-separated names) on files below PATH, RATE in a
                thousand go wrong; an error stays for about BURST calls. Also read from the environment variable
                FAULTS_PLAN.
   faults_slow  lets every write and sync on such a file take so many microseconds more.
   faults_on    switches the plan on and off; faults_count says how many calls went wrong.
   faults_journal  "FILE PATH": every change of a file or folder below PATH is appended to FILE. Also FAULTS_JOURNAL.
   faults_mark  puts a text of the program into the journal.
   faults_trace a trace function for sys.settrace, which raises a signal before the n-th bytecode and runs none itself,
                so that the interpreter handles the signal where it would handle one from outside. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(result, name, ...) \
    static result (*real)(__VA_ARGS__); \
    if (!real) real = dlsym(RTLD_NEXT, name)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Paths */

static int below(const char *path, const char *folder) {
    size_t size = strlen(folder);
    return size && !strncmp(path, folder, size);
}

/* The absolute path of `path`, seen from the open folder `dir`. */
static const char *absolute(int dir, const char *path, char *out) {
    if (path[0] == '/') return path;
    char link[64];
    snprintf(link, sizeof link, dir == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", dir);
    ssize_t size = readlink(link, out, PATH_MAX - 1);
    if (size < 0) return path;
    snprintf(out + size, PATH_MAX - size, "/%s", path);
    return out;
}

static const char *path_of(int fd, char *out) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, out, PATH_MAX - 1);
    out[size < 0 ? 0 : size] = 0;
    return out;
}

/* Faults */

static int on, rate, burst, left, error_now, slow;
static long count;
static unsigned long long state;
static char calls[256], faulty[PATH_MAX], call_now[32];

static unsigned next(void) { /* xorshift64* */
    state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
    return (state * 2685821657736338717ULL) >> 33;
}

void faults_plan(const char *plan) {
    on = 0, left = 0;
    calls[0] = ',', calls[1] = faulty[0] = 0;
    if (sscanf(plan, "%llu %d %d %253s %4095s", &state, &rate, &burst, calls + 1, faulty) < 4) return;
    strcat(calls, ",");
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    on = 1;
}

void faults_on(int now) { on = now, left = 0; }
void faults_slow(int microseconds) { slow = microseconds; }
long faults_count(void) { return count; }

static const struct { const char *call; int errors[4]; } kinds[] = {
    {"write", {ENOSPC, EIO, EDQUOT, EINTR}}, {"ftruncate", {EIO, EINTR, EIO, ENOSPC}},
    {"fsync", {EIO, EIO, ENOSPC, EDQUOT}},   {"open", {ENOSPC, EMFILE, EACCES, EINTR}},
    {"rename", {EIO, ENOSPC, EPERM, EIO}},   {"link", {EPERM, ENOSPC, EIO, EMLINK}},
    {"unlink", {EIO, EPERM, EBUSY, EIO}},    {"mkdir", {ENOSPC, EACCES, EIO, EDQUOT}},
    {"flock", {ENOLCK, EINTR, ENOLCK, EINTR}},
};

/* What goes wrong with this call: an errno; 0 for nothing; -1 for a short write. */
static int fault(const char *call, const char *path) {
    char name[40];
    snprintf(name, sizeof name, ",%s,", call);
    if (!on || !strstr(calls, name) || !below(path, faulty)) return 0;
    if (slow && (!strcmp(call, "write") || !strcmp(call, "fsync"))) usleep(slow);
    pthread_mutex_lock(&lock);
    int result = 0;
    if (left > 0 && !strcmp(call, call_now)) {
        left--, result = error_now;
    } else if ((int)(next() % 1000) < rate) {
        if (!strcmp(call, "write") && next() % 3 == 0) {
            result = -1;
        } else {
            for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
                if (!strcmp(call, kinds[i].call)) result = kinds[i].errors[next() % 4];
            if (result != EINTR) { /* one that stays for ever, as Python tries again at once */
                strcpy(call_now, call);
                error_now = result, left = next() % (2 * burst);
            }
        }
    }
    count += result != 0;
    pthread_mutex_unlock(&lock);
    return result;
}

#define FAULT(call, path) \
    do { int error = fault(call, path); if (error > 0) { errno = error; return -1; } } while (0)

/* The journal: a line "OP FILE NUMBER SIZE SIZE2\n", and behind it two texts or data of those sizes. */

static int journal = -1;
static char recorded[PATH_MAX];

void faults_journal(const char *plan) {
    char name[PATH_MAX];
    REAL(int, "open64", const char *, int, ...);
    if (sscanf(plan, "%4095s %4095s", name, recorded) == 2)
        journal = real(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
}

static void put(char op, long file, long number, const void *one, size_t size, const void *two, size_t size2) {
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    char line[128];
    int length = snprintf(line, sizeof line, "%c %ld %ld %zu %zu\n", op, file, number, size, size2);
    struct iovec parts[3] = {{line, length}, {(void *)one, size}, {(void *)two, size2}};
    if (real(journal, parts, 3) != (ssize_t)(length + size + size2)) abort();
}

void faults_mark(const char *text) {
    if (journal < 0) return;
    pthread_mutex_lock(&lock);
    put('K', 0, 0, text, strlen(text), "", 0);
    pthread_mutex_unlock(&lock);
}

static int records(const char *path) { return journal >= 0 && below(path, recorded); }

static long file_of(int fd) {
    struct stat status;
    return fstat(fd, &status) ? -1 : (long)status.st_ino;
}

/* Run a call, and record it when it succeeded, in one critical section, so that the journal's order is the true one. */
#define RECORDED(path, call, success, ...) \
    if (!records(path)) return call; \
    pthread_mutex_lock(&lock); \
    __typeof__(call) result = call; \
    int saved = errno; \
    if (success) put(__VA_ARGS__); \
    pthread_mutex_unlock(&lock); \
    errno = saved; \
    return result

/* Calls */

static int open_file(int dir, const char *name, int flags, mode_t mode) {
    REAL(int, "openat64", int, const char *, int, ...);
    char buffer[PATH_MAX];
    struct stat status;
    const char *path = absolute(dir, name, buffer);
    if (flags & (O_CREAT | O_WRONLY | O_RDWR)) FAULT("open", path);
    if (!records(path) || !(flags & (O_CREAT | O_TRUNC))) return real(dir, name, flags, mode);
    pthread_mutex_lock(&lock);
    int created = stat(path, &status) && errno == ENOENT, fd = real(dir, name, flags, mode), saved = errno;
    if (fd >= 0 && created) put('C', file_of(fd), 0, path, strlen(path), "", 0);
    if (fd >= 0 && !created && flags & O_TRUNC) put('T', file_of(fd), 0, "", 0, "", 0);
    pthread_mutex_unlock(&lock);
    errno = saved;
    return fd;
}

#define OPEN(name, dir, ...) \
    int name(__VA_ARGS__, int flags, ...) { \
        va_list more; va_start(more, flags); \
        mode_t mode = va_arg(more, mode_t); va_end(more); \
        return open_file(dir, path, flags, mode); \
    }
OPEN(open, AT_FDCWD, const char *path)
OPEN(open64, AT_FDCWD, const char *path)
OPEN(openat, dir, int dir, const char *path)
OPEN(openat64, dir, int dir, const char *path)

ssize_t write(int fd, const void *data, size_t size) {
    REAL(ssize_t, "write", int, const void *, size_t);
    char buffer[PATH_MAX];
    if (!on && journal < 0) return real(fd, data, size);
    const char *path = path_of(fd, buffer);
    int error = fault("write", path);
    if (error > 0) { errno = error; return -1; }
    if (error < 0 && size > 1) size = 1 + next() % (size - 1);
    RECORDED(path, real(fd, data, size), result > 0, 'W', file_of(fd), lseek(fd, 0, SEEK_CUR) - result, data, result,
             "", 0);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    char buffer[PATH_MAX];
    const char *path = path_of(fd, buffer);
    int error = fault("write", path);
    if (error > 0) { errno = error; return -1; }
    if (error < 0 && size > 1) size = 1 + next() % (size - 1);
    RECORDED(path, real(fd, data, size, at), result > 0, 'W', file_of(fd), at, data, result, "", 0);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return pwrite64(fd, data, size, at); }

ssize_t writev(int fd, const struct iovec *parts, int many) { /* as one write, or a short one of the first part */
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    char buffer[PATH_MAX];
    if (!on && journal < 0) return real(fd, parts, many);
    const char *path = path_of(fd, buffer);
    if (!below(path, faulty) && !records(path)) return real(fd, parts, many);
    size_t size = 0, done = 0;
    for (int i = 0; i < many; i++) size += parts[i].iov_len;
    char *all = malloc(size + 1);
    for (int i = 0; i < many; done += parts[i++].iov_len) memcpy(all + done, parts[i].iov_base, parts[i].iov_len);
    ssize_t result = write(fd, all, size);
    int saved = errno;
    free(all);
    errno = saved;
    return result;
}

/* Those that call these fall back to write. */
ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t size, unsigned flags) {
    REAL(ssize_t, "copy_file_range", int, off64_t *, int, off64_t *, size_t, unsigned);
    if (on || journal >= 0) { errno = ENOSYS; return -1; }
    return real(in, from, out, to, size, flags);
}
ssize_t sendfile64(int out, int in, off64_t *from, size_t size) {
    REAL(ssize_t, "sendfile64", int, int, off64_t *, size_t);
    if (on || journal >= 0) { errno = ENOSYS; return -1; }
    return real(out, in, from, size);
}

int ftruncate64(int fd, off64_t size) {
    REAL(int, "ftruncate64", int, off64_t);
    char buffer[PATH_MAX];
    const char *path = path_of(fd, buffer);
    FAULT("ftruncate", path);
    RECORDED(path, real(fd, size), !result, 'T', file_of(fd), size, "", 0, "", 0);
}
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

static int sync_file(int fd, int (*real)(int)) {
    char buffer[PATH_MAX];
    struct stat status;
    const char *path = path_of(fd, buffer);
    FAULT("fsync", path);
    char op = !fstat(fd, &status) && S_ISDIR(status.st_mode) ? 'D' : 'S';
    RECORDED(path, real(fd), !result, op, file_of(fd), 0, path, strlen(path), "", 0);
}
int fsync(int fd) { REAL(int, "fsync", int); return sync_file(fd, real); }
int fdatasync(int fd) { REAL(int, "fdatasync", int); return sync_file(fd, real); }

#define TWO_PATHS(name, op, fault_name) \
    int name##at(int dir, const char *one, int dir2, const char *two EXTRA) { \
        REAL(int, #name "at", int, const char *, int, const char *, ...); \
        char buffer[PATH_MAX], buffer2[PATH_MAX]; \
        const char *from = absolute(dir, one, buffer), *to = absolute(dir2, two, buffer2); \
        FAULT(fault_name, to); \
        RECORDED(to, real(dir, one, dir2, two FLAGS), !result, op, 0, 0, from, strlen(from), to, strlen(to)); \
    }
#define EXTRA
#define FLAGS
TWO_PATHS(rename, 'R', "rename")
#undef EXTRA
#undef FLAGS
#define EXTRA , int flags
#define FLAGS , flags
TWO_PATHS(link, 'L', "link")
int rename(const char *one, const char *two) { return renameat(AT_FDCWD, one, AT_FDCWD, two); }
int link(const char *one, const char *two) { return linkat(AT_FDCWD, one, AT_FDCWD, two, 0); }

int unlinkat(int dir, const char *name, int flags) {
    REAL(int, "unlinkat", int, const char *, int);
    char buffer[PATH_MAX];
    const char *path = absolute(dir, name, buffer);
    FAULT("unlink", path);
    RECORDED(path, real(dir, name, flags), !result, flags & AT_REMOVEDIR ? 'X' : 'U', 0, 0, path, strlen(path), "", 0);
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int mkdirat(int dir, const char *name, mode_t mode) {
    REAL(int, "mkdirat", int, const char *, mode_t);
    char buffer[PATH_MAX];
    const char *path = absolute(dir, name, buffer);
    FAULT("mkdir", path);
    RECORDED(path, real(dir, name, mode), !result, 'M', 0, 0, path, strlen(path), "", 0);
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

int flock(int fd, int what) {
    REAL(int, "flock", int, int);
    char buffer[PATH_MAX];
    FAULT("flock", path_of(fd, buffer));
    return real(fd, what);
}

/* Signals at the n-th bytecode; the names of CPython are there when it calls this. */

extern int PyUnicode_CompareWithASCIIString(void *, const char *) __attribute__((weak));
extern int PyObject_SetAttrString(void *, const char *, void *) __attribute__((weak));
extern void *PyBool_FromLong(long) __attribute__((weak));
extern void Py_IncRef(void *) __attribute__((weak));

static long countdown;
static int number;
static void *myself;

void faults_signal(void *self, long at, int signal) { myself = self, countdown = at, number = signal; }
long faults_left(void) { return countdown; }

void *faults_trace(void *frame, void *event, void *argument) {
    (void)argument;
    if (!PyUnicode_CompareWithASCIIString(event, "call"))
        PyObject_SetAttrString(frame, "f_trace_opcodes", PyBool_FromLong(1));
    else if (!PyUnicode_CompareWithASCIIString(event, "opcode") && countdown > 0 && !--countdown)
        raise(number);
    Py_IncRef(myself);
    return myself;
}

static void in_child(void) { pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER; lock = fresh; }

__attribute__((constructor)) static void begin(void) {
    pthread_atfork(NULL, NULL, in_child);
    if (getenv("FAULTS_PLAN")) faults_plan(getenv("FAULTS_PLAN"));
    if (getenv("FAULTS_JOURNAL")) faults_journal(getenv("FAULTS_JOURNAL"));
}
