/* What every load program measures alike: latencies and answers within a window of time, the CPU of
 * the server and of this process in it, and what others used of the server's core.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

typedef uint64_t u64;

static u64 begin_at, end_at;   /* the window; answers are counted from the one to the other */
static u64 issued, answered, in_window;
static u64 statuses[1000];     /* answers in the window by status; 0: the connection was lost */
static uint32_t *lat; static size_t n_lat, room_lat;  /* in tenths of microseconds */
static struct rusage use_a, use_b; static u64 cpu_a, cpu_b, core_a, core_b;

static void die(const char *what) { fprintf(stderr, "load: %s: %s\n", what, strerror(errno)); exit(1); }
static u64 now_ns(void) {
    struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t);
    return (u64)t.tv_sec * 1000000000ull + (u64)t.tv_nsec;
}

/* CPU time of a process in clock ticks, all of its threads, as the kernel accounts it. */
static u64 process_ticks(int pid) {
    char name[64], text[1024]; u64 user = 0, system = 0;
    snprintf(name, sizeof name, "/proc/%d/stat", pid);
    FILE *f = fopen(name, "r"); if (!f) return 0;
    size_t n = fread(text, 1, sizeof text - 1, f); fclose(f); text[n] = 0;
    char *p = strrchr(text, ')'); if (!p) return 0;
    sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
    return user + system;
}
/* Busy ticks of a core, whoever used it. */
static u64 core_ticks(int core) {
    char line[512], want[16]; u64 v[8] = {0}, busy = 0;
    snprintf(want, sizeof want, "cpu%d ", core);
    FILE *f = fopen("/proc/stat", "r"); if (!f || core < 0) { if (f) fclose(f); return 0; }
    while (fgets(line, sizeof line, f))
        if (!strncmp(line, want, strlen(want))) {
            sscanf(line, "%*s %lu %lu %lu %lu %lu %lu %lu %lu", v, v+1, v+2, v+3, v+4, v+5, v+6, v+7);
            busy = v[0] + v[1] + v[2] + v[5] + v[6];
            break;
        }
    fclose(f); return busy;
}

static void window_opens(int server_pid, int server_core) {
    getrusage(RUSAGE_SELF, &use_a);
    cpu_a = process_ticks(server_pid); core_a = core_ticks(server_core);
}
static void window_closes(int server_pid, int server_core) {
    getrusage(RUSAGE_SELF, &use_b);
    cpu_b = process_ticks(server_pid); core_b = core_ticks(server_core);
}

/* An answer of `now` to what was due at `due`. */
static void count_answer(u64 due, u64 now, int status) {
    answered++;
    if (due >= begin_at && due < end_at && status == 200) {
        if (n_lat == room_lat) lat = realloc(lat, (room_lat = room_lat * 2 + 65536) * sizeof *lat);
        lat[n_lat++] = (uint32_t)((now - due) / 100);
    }
    if (now >= begin_at && now < end_at) { in_window += status == 200; statuses[status % 1000]++; }
}

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b; return (x > y) - (x < y);
}
static double quantile(double q) {
    if (!n_lat) return 0;
    size_t i = (size_t)(q * (double)n_lat); return lat[i < n_lat ? i : n_lat - 1] / 10.0;
}
static double seconds_of(struct rusage *u) {
    return (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec)
         + (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec) / 1e6;
}

/* One line of JSON; `more` is what only the caller counted, each field with a comma after it. */
static void report(int server_core, const char *more) {
    qsort(lat, n_lat, sizeof *lat, by_value);
    double took = (double)(end_at - begin_at) / 1e9, tick = 1e6 / (double)sysconf(_SC_CLK_TCK);
    double cpu = (double)(cpu_b - cpu_a) * tick, core = (double)(core_b - core_a) * tick;
    printf("{\"result\":{\"starts\":%lu,\"seconds\":%.3f,\"rps\":%.1f,\"p50_us\":%.1f,\"p90_us\":%.1f,"
           "\"p99_us\":%.1f,\"max_us\":%.1f,\"load_share\":%.3f,\"server_cpu_us\":%.0f,"
           "\"cpu_us_per_start\":%.2f,\"foreign_share\":%.3f,\"issued\":%lu,\"answered\":%lu,%s\"errors\":{",
           in_window, took, (double)in_window / took, quantile(.5), quantile(.9), quantile(.99),
           n_lat ? lat[n_lat - 1] / 10.0 : 0.0, (seconds_of(&use_b) - seconds_of(&use_a)) / took, cpu,
           in_window ? cpu / (double)in_window : 0.0, server_core < 0 ? 0.0 : (core - cpu) / took / 1e6,
           issued, answered, more);
    const char *comma = "";
    for (int i = 0; i < 1000; i++)
        if (statuses[i] && i != 200) { printf("%s\"%d\":%lu", comma, i, statuses[i]); comma = ","; }
    printf("}}}\n"); fflush(stdout);
}

static void arm(int timer_fd, u64 next, u64 now) {
    if (next <= now) next = now + 1000;
    struct itimerspec when = {.it_value = {(time_t)(next / 1000000000ull), (long)(next % 1000000000ull)}};
    if (timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &when, NULL)) die("timerfd");
}
