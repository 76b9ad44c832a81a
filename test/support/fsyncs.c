/*
 * Preloaded into redis-server: notes, for each fsync of a file, what a loss of power leaves of it for certain.
 *
 * A line of FSYNC_LOG: <size of the file> <when the last write to it before that began, ms since the epoch> <path>.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILES 65536

static ssize_t (*real_write)(int, const void *, size_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int log_fd = -1;
static volatile long long written_at[FILES];

__attribute__((constructor)) static void begin(void) {
  real_write = dlsym(RTLD_NEXT, "write");
  real_fsync = dlsym(RTLD_NEXT, "fsync");
  real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
  const char *path = getenv("FSYNC_LOG");
  if (path) log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static long long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  return time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

ssize_t write(int fd, const void *bytes, size_t count) {
  long long began = now();
  ssize_t written = real_write(fd, bytes, count);
  if (fd >= 0 && fd < FILES) written_at[fd] = began; /* now that it counts */
  return written;
}

static int noted(int fd, int (*sync)(int)) {
  long long began = fd >= 0 && fd < FILES ? written_at[fd] : 0; /* before the size: that has it in any case */
  struct stat status;
  char link[64], path[4096], line[4200];
  int is_known = fstat(fd, &status) == 0;
  int result = sync(fd);
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (result == 0 && is_known && length > 0 && log_fd >= 0) {
    path[length] = 0;
    int size = snprintf(line, sizeof line, "%lld %lld %s\n", (long long)status.st_size, began, path);
    if (real_write(log_fd, line, size) != size) abort();
  }
  return result;
}

int fsync(int fd) { return noted(fd, real_fsync); }

int fdatasync(int fd) { return noted(fd, real_fdatasync); }
