/* Faults on demand, for tests: preloaded into a process, it fails, shortens, delays or ends what that process does.
 *
 * What comes in, by environment:
 *   FAULTS        rules, one a line: OPERATION PATTERN NTH ACTION TOKEN
 *                 OPERATION  open write fdatasync fsync rename unlink mkdir ftruncate; sync is either of the two
 *                 PATTERN    of the file's whole path (fnmatch; `*` matches slashes too); of a rename, of its new name
 *                 NTH        which such call of this process, from 1 on; `N+` that one and all after it; `*` all
 *                 ACTION     kill, kill-after (SIGKILL to this process before or after the call), end, end-after (to
 *                            its process group), cut (power off: what was not synced is undone, then the process group
 *                            is killed), short (a write of half the bytes), tear (half, then kill), an errno's number
 *                 TOKEN      `-`, or a file: the rule acts only if it can delete that file, so once in all processes;
 *                            or `@` and a file: it acts as long as that is there
 *   FAULTS_CLOCK  a file of eight bytes: nanoseconds that CLOCK_REALTIME is ahead, read at each look at the clock
 *   FAULTS_PATH   only files below this directory are looked at
 * What goes out: calls that behave as said, one at a time in a process. Never allocates.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define RULES 256
#define FILES 256

enum action { NONE, KILL, KILL_AFTER, END, END_AFTER, CUT, SHORT, TEAR, FAIL };

struct rule {
    char operation[16], pattern[256], token[PATH_MAX];
    long nth, seen;
    int onwards;
    enum action action;
    int number;
};

/* What a power cut would undo: sizes beyond the last sync, and names whose directory was not synced since. */
struct grown { char path[PATH_MAX]; off_t synced; int used; };
struct named { char path[PATH_MAX], before[PATH_MAX + 32]; int used; };

static struct rule rules[RULES];
static int rule_count;
static struct grown grown[FILES];
static struct named named[FILES];
static char root[PATH_MAX];
static int cuts;
static volatile int64_t *clock_ahead;
static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static __thread int inside;

static enum action action_of(const char *word, int *number)
{
    static const char *const words[] = {"", "kill", "kill-after", "end", "end-after", "cut", "short", "tear"};
    for (int i = 1; i < FAIL; i++)
        if (!strcmp(word, words[i]))
            return i;
    *number = atoi(word);
    return FAIL;
}

static void hold(void) { pthread_mutex_lock(&guard); }
static void let_go(void) { pthread_mutex_unlock(&guard); }

__attribute__((constructor)) static void begin(void)
{
    pthread_atfork(hold, let_go, let_go);
    const char *text = getenv("FAULTS"), *below = getenv("FAULTS_PATH"), *ahead = getenv("FAULTS_CLOCK");
    if (below)
        snprintf(root, sizeof root, "%s/", below);
    while (text && *text && rule_count < RULES) {
        struct rule *one = &rules[rule_count];
        char nth[32], action[32];
        if (sscanf(text, "%15s %255s %31s %31s %4095s", one->operation, one->pattern, nth, action, one->token) == 5) {
            one->nth = nth[0] == '*' ? 1 : atol(nth);
            one->onwards = nth[0] == '*' || nth[strlen(nth) - 1] == '+';
            one->action = action_of(action, &one->number);
            cuts |= one->action == CUT;
            rule_count++;
        }
        text = strchr(text, '\n');
        if (text)
            text++;
    }
    if (ahead) {
        int fd = (int)syscall(SYS_openat, AT_FDCWD, ahead, O_RDONLY | O_CLOEXEC);
        if (fd >= 0) {
            void *at = mmap(NULL, 8, PROT_READ, MAP_SHARED, fd, 0);
            clock_ahead = at == MAP_FAILED ? NULL : at;
            syscall(SYS_close, fd);
        }
    }
}

static int below_root(const char *path)
{
    size_t length = strlen(root);
    return length && !strncmp(path, root, length - 1) && (!path[length - 1] || path[length - 1] == '/');
}

static int path_of(int fd, char *path)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = syscall(SYS_readlink, link, path, PATH_MAX - 1);
    if (length <= 0)
        return 0;
    path[length] = 0;
    return below_root(path);
}

static int path_at(int dirfd, const char *name, char *path)
{
    char directory[PATH_MAX] = "";
    if (name[0] != '/') {
        char link[64] = "/proc/self/cwd";
        if (dirfd != AT_FDCWD)
            snprintf(link, sizeof link, "/proc/self/fd/%d", dirfd);
        ssize_t length = syscall(SYS_readlink, link, directory, PATH_MAX - 2);
        if (length <= 0)
            return 0;
        directory[length] = '/';
        directory[length + 1] = 0;
    }
    if (strlen(directory) + strlen(name) >= PATH_MAX)
        return 0;
    strcpy(path, directory);
    strcat(path, name);
    return below_root(path);
}

/* ---- the power cut ---- */

static void parent_of(const char *path, char *parent)
{
    strcpy(parent, path);
    char *slash = strrchr(parent, '/');
    if (slash)
        *slash = 0;
}

static void note_written(const char *path, off_t size_before)
{
    struct grown *free_one = NULL;
    for (int i = 0; i < FILES; i++) {
        if (grown[i].used && !strcmp(grown[i].path, path))
            return;
        if (!grown[i].used && !free_one)
            free_one = &grown[i];
    }
    if (free_one) {
        strcpy(free_one->path, path);
        free_one->synced = size_before;
        free_one->used = 1;
    }
}

static void note_synced(const char *path)
{
    for (int i = 0; i < FILES; i++) {
        if (grown[i].used && !strcmp(grown[i].path, path))
            grown[i].used = 0;
        char parent[PATH_MAX];
        parent_of(named[i].path, parent);
        if (named[i].used && !strcmp(parent, path)) {
            if (named[i].before[0])
                syscall(SYS_unlinkat, AT_FDCWD, named[i].before, 0);
            named[i].used = 0;
        }
    }
}

/* A name that appears or changes its meaning; what it meant before stays under a name of its own. */
static void note_named(const char *path, int is_new)
{
    static int counted;
    for (int i = 0; i < FILES; i++)
        if (!named[i].used) {
            strcpy(named[i].path, path);
            char parent[PATH_MAX];
            parent_of(path, parent);
            snprintf(named[i].before, sizeof named[i].before, "%s/.cut-%d-%d", parent, (int)getpid(), counted++);
            if (is_new || syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, named[i].before, 0) != 0)
                named[i].before[0] = 0;
            named[i].used = 1;
            return;
        }
}

static void note_renamed(const char *from, const char *to)
{
    for (int i = 0; i < FILES; i++) {
        if (grown[i].used && !strcmp(grown[i].path, from))
            strcpy(grown[i].path, to);
        if (named[i].used && !named[i].before[0] && !strcmp(named[i].path, from))
            named[i].used = 0;
    }
}

static void note_removed(const char *path)
{
    for (int i = 0; i < FILES; i++) {
        if (grown[i].used && !strcmp(grown[i].path, path))
            grown[i].used = 0;
        if (named[i].used && !named[i].before[0] && !strcmp(named[i].path, path))
            named[i].used = 0;
    }
}

static void cut_power(void)
{
    for (int i = 0; i < FILES; i++)
        if (grown[i].used)
            syscall(SYS_truncate, grown[i].path, grown[i].synced);
    for (int i = FILES - 1; i >= 0; i--)
        if (named[i].used) {
            struct stat found;
            if (named[i].before[0])
                syscall(SYS_rename, named[i].before, named[i].path);
            else if (!lstat(named[i].path, &found) && S_ISDIR(found.st_mode)) {
                char away[PATH_MAX + 8];
                snprintf(away, sizeof away, "%s.cut", named[i].path);
                syscall(SYS_rename, named[i].path, away);
            } else
                syscall(SYS_unlinkat, AT_FDCWD, named[i].path, 0);
        }
}

/* ---- rules ---- */

static void die(enum action action)
{
    if (action == CUT)
        cut_power();
    kill(action == KILL || action == KILL_AFTER || action == TEAR ? getpid() : 0, SIGKILL);
    for (;;)
        pause();
}

static struct rule *rule_for(const char *operation, const char *path)
{
    for (int i = 0; i < rule_count; i++) {
        struct rule *one = &rules[i];
        int is_meant = !strcmp(one->operation, operation) || (!strcmp(one->operation, "sync") && strstr(operation, "sync"));
        if (!is_meant || fnmatch(one->pattern, path, 0))
            continue;
        one->seen++;
        if (one->seen < one->nth || (one->seen > one->nth && !one->onwards))
            continue;
        if (one->token[0] == '@' ? syscall(SYS_faccessat, AT_FDCWD, one->token + 1, F_OK) != 0
                                 : strcmp(one->token, "-") && syscall(SYS_unlinkat, AT_FDCWD, one->token, 0) != 0)
            continue;
        return one;
    }
    return NULL;
}

/* What to do instead of, or before, a call: 0 to go on, -1 with errno set to fail. `after` is asked once it is done. */
static int before_call(const char *operation, const char *path, enum action *after)
{
    *after = NONE;
    struct rule *one = rule_for(operation, path);
    if (!one)
        return 0;
    if (one->action == KILL || one->action == END || one->action == CUT)
        die(one->action);
    if (one->action == FAIL) {
        errno = one->number;
        return -1;
    }
    *after = one->action;
    return 0;
}

static void after_call(enum action after)
{
    if (after == KILL_AFTER || after == END_AFTER || after == TEAR)
        die(after);
}

#define ENTER (!inside && root[0] && (rule_count || cuts) && (inside = 1, pthread_mutex_lock(&guard), 1))
#define LEAVE do { int kept = errno; pthread_mutex_unlock(&guard); inside = 0; errno = kept; } while (0)

/* ---- calls ---- */

static int opened(int dirfd, const char *name, int flags, mode_t mode)
{
    char path[PATH_MAX];
    if (ENTER) {
        enum action after;
        int failed = 0, known = path_at(dirfd, name, path) && (flags & (O_WRONLY | O_RDWR | O_CREAT));
        struct stat found;
        int is_new = known && (flags & O_CREAT) && lstat(path, &found) != 0;
        if (known)
            failed = before_call("open", path, &after);
        if (failed) {
            LEAVE;
            return -1;
        }
        int fd = (int)syscall(SYS_openat, dirfd, name, flags, mode);
        if (known && fd >= 0 && cuts && is_new)
            note_named(path, 1);
        if (known)
            after_call(after);
        LEAVE;
        return fd;
    }
    return (int)syscall(SYS_openat, dirfd, name, flags, mode);
}

#define MODE_OF(flags) ({ mode_t m = 0; if ((flags) & (O_CREAT | __O_TMPFILE)) { va_list l; va_start(l, flags); \
    m = va_arg(l, mode_t); va_end(l); } m; })

int open(const char *name, int flags, ...) { return opened(AT_FDCWD, name, flags, MODE_OF(flags)); }
int open64(const char *name, int flags, ...) { return opened(AT_FDCWD, name, flags, MODE_OF(flags)); }
int openat(int dirfd, const char *name, int flags, ...) { return opened(dirfd, name, flags, MODE_OF(flags)); }
int openat64(int dirfd, const char *name, int flags, ...) { return opened(dirfd, name, flags, MODE_OF(flags)); }

#define WRITE(fd, size, call, halved) \
    char path[PATH_MAX]; \
    if (ENTER) { \
        enum action after = NONE; \
        int known = path_of(fd, path); \
        if (known && before_call("write", path, &after)) { LEAVE; return -1; } \
        struct stat found; \
        if (known && cuts && !fstat(fd, &found)) note_written(path, found.st_size); \
        int half = known && (after == SHORT || after == TEAR) && (size) > 1; \
        ssize_t done = half ? (halved) : (call); \
        if (known) after_call(after); \
        LEAVE; \
        return done; \
    } \
    return (call);

ssize_t write(int fd, const void *from, size_t size)
{
    WRITE(fd, size, syscall(SYS_write, fd, from, size), syscall(SYS_write, fd, from, size / 2))
}
ssize_t pwrite(int fd, const void *from, size_t size, off_t at)
{
    WRITE(fd, size, syscall(SYS_pwrite64, fd, from, size, at), syscall(SYS_pwrite64, fd, from, size / 2, at))
}
ssize_t pwrite64(int fd, const void *from, size_t size, off64_t at)
{
    WRITE(fd, size, syscall(SYS_pwrite64, fd, from, size, at), syscall(SYS_pwrite64, fd, from, size / 2, at))
}
ssize_t writev(int fd, const struct iovec *from, int count)
{
    WRITE(fd, count, syscall(SYS_writev, fd, from, count), syscall(SYS_writev, fd, from, count / 2))
}

#define SYNC(name, number) \
int name(int fd) \
{ \
    char path[PATH_MAX]; \
    if (ENTER) { \
        enum action after = NONE; \
        int known = path_of(fd, path); \
        if (known && before_call(#name, path, &after)) { LEAVE; return -1; } \
        int done = (int)syscall(number, fd); \
        if (known && cuts && done == 0) note_synced(path); \
        if (known) after_call(after); \
        LEAVE; \
        return done; \
    } \
    return (int)syscall(number, fd); \
}
SYNC(fsync, SYS_fsync)
SYNC(fdatasync, SYS_fdatasync)

static int renamed(int from_fd, const char *from, int to_fd, const char *to)
{
    char path[PATH_MAX], old[PATH_MAX];
    if (ENTER) {
        enum action after = NONE;
        int known = path_at(to_fd, to, path) && path_at(from_fd, from, old);
        if (known && before_call("rename", path, &after)) {
            LEAVE;
            return -1;
        }
        if (known && cuts)
            note_named(path, 0);
        int done = (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, 0);
        if (known && cuts && done == 0)
            note_renamed(old, path);
        if (known)
            after_call(after);
        LEAVE;
        return done;
    }
    return (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, 0);
}
int rename(const char *from, const char *to) { return renamed(AT_FDCWD, from, AT_FDCWD, to); }
int renameat(int from_fd, const char *from, int to_fd, const char *to) { return renamed(from_fd, from, to_fd, to); }

#define NAMED(operation, dirfd, name, call, is_made) \
    char path[PATH_MAX]; \
    if (ENTER) { \
        enum action after = NONE; \
        int known = path_at(dirfd, name, path); \
        if (known && before_call(operation, path, &after)) { LEAVE; return -1; } \
        int done = (int)(call); \
        if (known && cuts && done == 0) { if (is_made) note_named(path, 1); else note_removed(path); } \
        if (known) after_call(after); \
        LEAVE; \
        return done; \
    } \
    return (int)(call);

int unlink(const char *name) { NAMED("unlink", AT_FDCWD, name, syscall(SYS_unlinkat, AT_FDCWD, name, 0), 0) }
int unlinkat(int dirfd, const char *name, int flags)
{
    NAMED("unlink", dirfd, name, syscall(SYS_unlinkat, dirfd, name, flags), 0)
}
int mkdir(const char *name, mode_t mode) { NAMED("mkdir", AT_FDCWD, name, syscall(SYS_mkdirat, AT_FDCWD, name, mode), 1) }
int mkdirat(int dirfd, const char *name, mode_t mode)
{
    NAMED("mkdir", dirfd, name, syscall(SYS_mkdirat, dirfd, name, mode), 1)
}

int ftruncate(int fd, off_t size)
{
    char path[PATH_MAX];
    if (ENTER) {
        enum action after = NONE;
        int known = path_of(fd, path);
        if (known && before_call("ftruncate", path, &after)) {
            LEAVE;
            return -1;
        }
        int done = (int)syscall(SYS_ftruncate, fd, size);
        if (known)
            after_call(after);
        LEAVE;
        return done;
    }
    return (int)syscall(SYS_ftruncate, fd, size);
}
int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }

/* ---- the clock ---- */

static void ahead_by(struct timespec *now)
{
    int64_t sum = now->tv_sec * 1000000000LL + now->tv_nsec + *clock_ahead;
    now->tv_sec = sum / 1000000000LL;
    now->tv_nsec = sum % 1000000000LL;
}

int clock_gettime(clockid_t which, struct timespec *now)
{
    int done = (int)syscall(SYS_clock_gettime, which, now);
    if (!done && clock_ahead && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE))
        ahead_by(now);
    return done;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec exact;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *into)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (into)
        *into = now.tv_sec;
    return now.tv_sec;
}
