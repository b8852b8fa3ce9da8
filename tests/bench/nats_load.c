/* Load for nats-server as a reference of the dispatch benchmarks: request/reply over its text
 * protocol, in one thread.
 *
 * Runners are subscribers of one subject in one queue group; each answers a request at once with
 * what a `job.ack` of ours looks like. Clients send what a `job.assign` looks like to that subject,
 * with an inbox of their own for the answer, one request at a time on each connection, in a closed
 * loop or in an open one on a clock, measured as in load.c. Nothing is stored, nothing is checked.
 *
 * Prints `{"ready":...}` and `{"result":...}`.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include "measure.h"

enum { RUNNER, CLIENT };
#define INBUF 16384
#define SUBJECT "paddock.bench.start"

typedef struct conn {
    int fd, kind, index, up, queued;
    u64 due, number;           /* of the request under way */
    char in[INBUF]; size_t have;
    char out[INBUF]; size_t want;
    struct conn *next_idle;
} conn_t;

static struct {
    int port, runners, clients, server_pid, server_core;
    double rate, warm_s, seconds, ready_s;
} opt = {.seconds = 2, .warm_s = 0.5, .ready_s = 60, .server_core = -1};

static int poll_fd, timer_fd, n_up, n_flush, n_conns;
static conn_t **conns, **flush_list, *idle;
static u64 outstanding;

static void put(conn_t *c, const char *data, size_t n) {
    if (c->want + n > sizeof c->out) { errno = ENOBUFS; die("the server does not read"); }
    memcpy(c->out + c->want, data, n); c->want += n;
    if (!c->queued) { c->queued = 1; flush_list[n_flush++] = c; }
}

static void interest(conn_t *c, int op, uint32_t events) {
    struct epoll_event e = {.events = events, .data.ptr = c};
    if (epoll_ctl(poll_fd, op, c->fd, &e)) die("epoll_ctl");
}

static void flush_all(void) {
    for (int i = 0; i < n_flush; i++) {
        conn_t *c = flush_list[i]; c->queued = 0;
        ssize_t n = write(c->fd, c->out, c->want);
        if (n < 0 && errno != EAGAIN) die("write");
        if (n > 0) { memmove(c->out, c->out + n, c->want - (size_t)n); c->want -= (size_t)n; }
        if (c->want) interest(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    }
    n_flush = 0;
}

static void dial(int kind, int index) {
    conn_t *c = calloc(1, sizeof *c); int one = 1; char text[300];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)opt.port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->kind = kind; c->index = index; c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to)) die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    interest(c, EPOLL_CTL_ADD, EPOLLIN);
    conns[n_conns++] = c;
    int n = snprintf(text, sizeof text,
        "CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"c\",\"version\":\"1\",\"protocol\":1}\r\n");
    put(c, text, (size_t)n);
    n = kind == RUNNER ? snprintf(text, sizeof text, "SUB " SUBJECT " runners 1\r\nPING\r\n")
                       : snprintf(text, sizeof text, "SUB _INBOX.%d.* 1\r\nPING\r\n", index);
    put(c, text, (size_t)n); flush_all();
}

static void publish(conn_t *c, const char *to, const char *reply, const char *payload, int size) {
    char head[200];
    int n = snprintf(head, sizeof head, "PUB %s %s%s%d\r\n", to, reply, *reply ? " " : "", size);
    put(c, head, (size_t)n); put(c, payload, (size_t)size); put(c, "\r\n", 2);
}

/* A session id of the length of ours, another for each request. */
static const char *session(u64 number) {
    static char text[40];
    snprintf(text, sizeof text, "%08lx-0000-7000-8000-%012lx", number & 0xffffffffu, number);
    return text;
}

static void ask(u64 scheduled) {
    conn_t *c = idle; idle = c->next_idle; outstanding++;
    c->due = scheduled; c->number = issued++;
    char reply[64], offer[600]; const char *id = session(c->number);
    snprintf(reply, sizeof reply, "_INBOX.%d.%lu", c->index, c->number);
    int n = snprintf(offer, sizeof offer,
        "{\"type\":\"job.assign\",\"job_id\":\"%s.1\",\"call_id\":\"%s\",\"agent_id\":\"bench\","
        "\"bridge_url\":\"ws://127.0.0.1:%d/v1/bridge/%s\",\"call_token\":\"tttttttttttttttttttttttt\","
        "\"assign_id\":\"%s.1\",\"deadline_ms\":2000,\"attempt\":1}", id, id, opt.port, id, id);
    publish(c, SUBJECT, reply, offer, n);
}

/* A runner's answer, as load.c gives it. */
static void acknowledge(conn_t *c, const char *reply, const char *offer) {
    const char *job = strstr(offer, "\"job_id\":\""), *end = job ? strchr(job + 10, '"') : NULL;
    if (!end || end - job > 60) { errno = EPROTO; die("offer"); }
    char ack[300]; int size = (int)(end - job) - 10;
    int n = snprintf(ack, sizeof ack,
        "{\"type\":\"job.ack\",\"job_id\":\"%.*s\",\"accepted\":true,\"assign_id\":\"%.*s\"}",
        size, job + 10, size, job + 10);
    publish(c, reply, "", ack, n);
}

static void message(conn_t *c, char *subject, char *reply, const char *payload) {
    if (c->kind == RUNNER) { acknowledge(c, reply, payload); return; }
    char wanted[64]; snprintf(wanted, sizeof wanted, "_INBOX.%d.%lu", c->index, c->number);
    if (strcmp(subject, wanted)) { errno = EPROTO; die(subject); }
    outstanding--; c->next_idle = idle; idle = c;
    count_answer(c->due, now_ns(), 200);
}

static void parse(conn_t *c) {
    size_t at = 0; char *end;
    while ((end = memmem(c->in + at, c->have - at, "\r\n", 2))) {
        char *line = c->in + at; size_t next = (size_t)(end - c->in) + 2;
        if (!strncmp(line, "MSG ", 4)) {
            char subject[100], sid[20], third[100], fourth[20] = ""; *end = 0;
            int words = sscanf(line, "MSG %99s %19s %99s %19s", subject, sid, third, fourth);
            *end = '\r';
            size_t size = (size_t)atol(words == 4 ? fourth : third);
            if (c->have < next + size + 2) break;
            c->in[next + size] = 0;
            message(c, subject, words == 4 ? third : "", c->in + next);
            next += size + 2;
        } else if (!strncmp(line, "PING", 4)) put(c, "PONG\r\n", 6);
        else if (!strncmp(line, "PONG", 4) && !c->up) {
            c->up = 1; n_up++;
            if (c->kind == CLIENT) { c->next_idle = idle; idle = c; }
        } else if (!strncmp(line, "-ERR", 4)) { *end = 0; errno = EPROTO; die(line); }
        at = next;
    }
    memmove(c->in, c->in + at, c->have - at); c->have -= at;
}

static void readable(conn_t *c) {
    ssize_t n = read(c->fd, c->in + c->have, sizeof c->in - 1 - c->have);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) { errno = n ? errno : ECONNRESET; die("the server went away"); }
    c->have += (size_t)n; parse(c);
    if (c->have == sizeof c->in - 1) { errno = EMSGSIZE; die("input"); }
}

static void options(int argc, char **argv) {
    for (int i = 1; i + 1 < argc; i += 2) {
        char *name = argv[i], *value = argv[i + 1];
        if (!strcmp(name, "--port")) opt.port = atoi(value);
        else if (!strcmp(name, "--runners")) opt.runners = atoi(value);
        else if (!strcmp(name, "--clients")) opt.clients = atoi(value);
        else if (!strcmp(name, "--rate")) opt.rate = atof(value);
        else if (!strcmp(name, "--warm-s")) opt.warm_s = atof(value);
        else if (!strcmp(name, "--seconds")) opt.seconds = atof(value);
        else if (!strcmp(name, "--ready-s")) opt.ready_s = atof(value);
        else if (!strcmp(name, "--server-pid")) opt.server_pid = atoi(value);
        else if (!strcmp(name, "--server-core")) opt.server_core = atoi(value);
        else { errno = EINVAL; die(name); }
    }
}

/* Wait until `next` at most, and take what came. */
static void turn(u64 next, u64 now) {
    static conn_t ticker; static u64 armed; struct epoll_event got[512];
    if (!ticker.fd) { ticker.fd = timer_fd; interest(&ticker, EPOLL_CTL_ADD, EPOLLIN); }
    flush_all();
    if (next != armed) { arm(timer_fd, next, now); armed = next; }
    int n = epoll_wait(poll_fd, got, 512, -1);
    if (n < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < n; i++) {
        conn_t *c = got[i].data.ptr;
        if (c == &ticker) {
            u64 fired; if (read(timer_fd, &fired, 8) < 0 && errno != EAGAIN) die("timer");
            armed = 0; continue;
        }
        if (got[i].events & EPOLLOUT) { interest(c, EPOLL_CTL_MOD, EPOLLIN); put(c, "", 0); }
        if (got[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) readable(c);
    }
}

int main(int argc, char **argv) {
    options(argc, argv);
    int all = opt.runners + opt.clients, opened = 0;
    conns = calloc((size_t)all, sizeof *conns); flush_list = calloc((size_t)all, sizeof *flush_list);
    poll_fd = epoll_create1(0); timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    for (int i = 0; i < all; i++) dial(i < opt.runners ? RUNNER : CLIENT, i);
    u64 now = now_ns(), give_up = now + (u64)(opt.ready_s * 1e9);
    for (; n_up < all; now = now_ns()) {
        if (now > give_up) { errno = ETIMEDOUT; die("not all sockets came up"); }
        turn(give_up, now);
    }
    printf("{\"ready\":%d}\n", opt.runners); fflush(stdout);
    u64 next_arrival = now, step = opt.rate > 0 ? (u64)(1e9 / opt.rate) : 0;
    begin_at = now + (u64)(opt.warm_s * 1e9); end_at = begin_at + (u64)(opt.seconds * 1e9);
    for (; now < end_at; now = now_ns()) {
        u64 next = opened ? end_at : begin_at;
        if (!opened && now >= begin_at) { opened = 1; window_opens(opt.server_pid, opt.server_core); next = end_at; }
        if (step) {
            for (; next_arrival <= now && idle; next_arrival += step) ask(next_arrival);
            if (idle && next_arrival < next) next = next_arrival;
        } else while (idle) ask(now_ns());
        turn(next, now);
    }
    window_closes(opt.server_pid, opt.server_core);
    for (give_up = now + 5000000000ull; outstanding && now < give_up; now = now_ns()) turn(give_up, now);
    statuses[0] = outstanding;
    report(opt.server_core, "");
    return 0;
}
