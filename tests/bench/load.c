/* Load for the dispatch benchmarks: runners, bridges, text sockets and HTTP clients, in one thread.
 *
 * It speaks the protocol as a runner of ours does: upgrade with a bearer key, `register` with the
 * features, heartbeats, `job.ack` at once, `session.event` active, ending and ended with growing
 * `seq`; client frames are masked as RFC 6455 5.3 demands. HTTP clients keep their connections and
 * run either in a closed loop, or in an open one where arrivals follow a clock and latency counts
 * from the scheduled instant, so that a stall of the server is seen by everyone it would have hit.
 *
 * Lines on standard output: `{"ready":...}`, `{"result":...}` and, with --stay, one
 * `{"connected":...}` each time every socket is up again. Ends at end of file on standard input.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include "measure.h"

enum { HTTP, RUNNER, BRIDGE, TEXT };
enum { DOWN, CONNECTING, UPGRADING, GREETING, UP };
#define INBUF 16384

typedef struct held { char id[40]; int attempt; int active; struct held *next, *prev; } held_t;

typedef struct conn {
    int fd, kind, state, index, tries, queued, busy, listed;
    u64 due, sent;             /* when the request was scheduled and sent; when to dial again */
    char *in, *out;
    size_t have, want, size;   /* bytes in `in`; bytes and room in `out` */
    u64 seq; int live; u64 beat;
    held_t *sessions;
    char path[200]; char frame[128];
    struct conn *next_idle;
} conn_t;

typedef struct { u64 due; conn_t *runner; held_t *session; } later_t;
typedef struct { later_t *ring; size_t head, tail, mask; } fifo_t;

static struct {
    int port, runners, slots, clients, open_loop, stay, bridges, texts, events, idempotent;
    int server_pid, server_core, resume;
    double rate, warm_s, seconds, ready_s, dial_after_s;
    u64 hold, active_after, count;
    const char *agent, *runner_key, *public_key, *tag;
} opt = {.slots = 50, .seconds = 2, .warm_s = 0.5, .agent = "bench", .runner_key = "", .events = 1,
         .public_key = "", .tag = "r", .ready_s = 60, .server_core = -1, .idempotent = 1};

static int poll_fd, timer_fd;
static conn_t **conns; static size_t n_conns, room_conns;
static conn_t *idle; static conn_t **flush_list; static size_t n_flush, room_flush;
static fifo_t actives, ends;
static u64 next_arrival, stop_at, finished_at;
static u64 heartbeat_ns = 5000000000ull;
static u64 outstanding, acked_events, cancels, lost, done_sessions; static u64 rng = 88172645463325252ull;
static int up_count[4], all_count[4], running, finished, announced;
static char request[4096]; static size_t request_len, key_at, body_at; static u64 run_id;
static const char *FEATURES =
    "[\"events\",\"drain\",\"verbs\",\"queued\",\"resume\",\"controls\"]";

static u64 wall_ms(void) {
    struct timespec t; clock_gettime(CLOCK_REALTIME, &t);
    return (u64)t.tv_sec * 1000ull + (u64)t.tv_nsec / 1000000ull;
}
static u64 rnd(void) { rng ^= rng << 13; rng ^= rng >> 7; rng ^= rng << 17; return rng; }

static void later(fifo_t *q, u64 due, conn_t *runner, held_t *session) {
    if (!q->ring) { q->mask = (1u << 20) - 1; q->ring = calloc(q->mask + 1, sizeof *q->ring); }
    if (q->tail - q->head > q->mask) { errno = ENOBUFS; die("too many sessions"); }
    q->ring[q->tail++ & q->mask] = (later_t){due, runner, session};
}

static conn_t *make(int kind, const char *path, const char *frame) {
    conn_t *c = calloc(1, sizeof *c);
    c->fd = -1; c->kind = kind; c->in = malloc(INBUF); c->size = 1024; c->out = malloc(c->size);
    c->index = all_count[kind]++; c->due = 1; announced = 0;
    snprintf(c->path, sizeof c->path, "%s", path); snprintf(c->frame, sizeof c->frame, "%s", frame);
    if (n_conns == room_conns) conns = realloc(conns, (room_conns = room_conns * 2 + 1024) * sizeof *conns);
    conns[n_conns++] = c;
    return c;
}

static void room(conn_t *c, size_t more) {
    while (c->want + more > c->size) c->out = realloc(c->out, c->size *= 2);
    if (!c->queued) {
        c->queued = 1;
        if (n_flush == room_flush)
            flush_list = realloc(flush_list, (room_flush = room_flush * 2 + 1024) * sizeof *flush_list);
        flush_list[n_flush++] = c;
    }
}
static void raw(conn_t *c, const char *data, size_t n) {
    room(c, n); memcpy(c->out + c->want, data, n); c->want += n;
}
static void ws_send(conn_t *c, int opcode, const char *data, size_t n) {
    room(c, n + 14);
    uint8_t *p = (uint8_t *)c->out + c->want; size_t h = 2; uint32_t mask = (uint32_t)rnd() | 1;
    p[0] = (uint8_t)(0x80 | opcode);
    if (n < 126) p[1] = (uint8_t)(0x80 | n);
    else { p[1] = 0x80 | 126; p[2] = (uint8_t)(n >> 8); p[3] = (uint8_t)n; h = 4; }
    memcpy(p + h, &mask, 4); h += 4;
    const uint8_t *m = (const uint8_t *)&mask;
    for (size_t i = 0; i < n; i++) p[h + i] = (uint8_t)data[i] ^ m[i & 3];
    c->want += h + n;
}
__attribute__((format(printf, 2, 3))) static void say(conn_t *c, const char *format, ...) {
    char text[2048]; va_list args;
    va_start(args, format); int n = vsnprintf(text, sizeof text, format, args); va_end(args);
    ws_send(c, 1, text, (size_t)n);
}

static void interest(conn_t *c, int op, uint32_t events) {
    struct epoll_event e = {.events = events, .data.ptr = c};
    if (epoll_ctl(poll_fd, op, c->fd, &e)) die("epoll_ctl");
}

static void down(conn_t *c) {
    if (c->state == UP) { up_count[c->kind]--; announced = 0; lost++; }
    if (c->fd >= 0) close(c->fd);
    if (c->kind == HTTP && c->busy) { outstanding--; statuses[0]++; c->busy = 0; }
    u64 ceiling = 200000000ull << (c->tries < 3 ? c->tries : 3);
    if (ceiling > 1000000000ull) ceiling = 1000000000ull;
    u64 wait = 20000000ull + rnd() % ceiling;
    c->tries++; c->fd = -1; c->state = DOWN; c->have = c->want = 0;
    c->due = now_ns() + (wait < 1000000000ull ? wait : 1000000000ull);
}

static void dial(conn_t *c) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)opt.port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0); if (c->fd < 0) die("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->state = CONNECTING;
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) { down(c); return; }
    interest(c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
}

static void rest(conn_t *c) {
    if (!c->listed) { c->listed = 1; c->next_idle = idle; idle = c; }
}
/* A connection that can take a request. The server closes those that were idle for too long. */
static int rested(void) {
    while (idle && idle->state != UP) { idle->listed = 0; idle = idle->next_idle; }
    return idle != NULL;
}
static void up(conn_t *c) { c->state = UP; c->tries = 0; up_count[c->kind]++; }

static void connected(conn_t *c) {
    interest(c, EPOLL_CTL_MOD, EPOLLIN);
    if (c->kind == HTTP) { up(c); rest(c); return; }
    char text[1024];
    int n = snprintf(text, sizeof text,
        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Authorization: Bearer %s\r\n\r\n", c->path, opt.port, opt.runner_key);
    raw(c, text, (size_t)n); c->state = UPGRADING;
}

static void greet(conn_t *c) {
    c->state = GREETING;
    if (c->kind == BRIDGE) {
        say(c, "{\"event\":\"hello\",\"protocol_version\":2,\"features\":[\"resume\",\"controls\"],"
               "\"received\":0%s}", c->busy ? ",\"resume\":true" : "");
    } else if (c->kind == RUNNER) {
        size_t size = 1024 + (size_t)c->live * 120; char *text = malloc(size);
        size_t n = (size_t)snprintf(text, size,
            "{\"type\":\"register\",\"worker_id\":\"%s-%d\",\"pool\":\"%s\",\"capabilities\":{"
            "\"max_concurrent\":%d,\"agent_id\":\"%s\",\"transport\":\"dial_out\",\"kind\":\"brain\","
            "\"hostname\":\"bench\",\"features\":%s,\"instance\":\"%lx%x\",\"startup_ms\":100}",
            opt.tag, c->index, opt.agent, opt.slots, opt.agent, FEATURES, run_id, c->index);
        if (c->sessions) {
            n += (size_t)snprintf(text + n, size - n, ",\"sessions\":[");
            for (held_t *s = c->sessions; s; s = s->next)
                n += (size_t)snprintf(text + n, size - n,
                    "%s{\"session_id\":\"%s\",\"attempt\":%d,\"state\":\"%s\"}",
                    s == c->sessions ? "" : ",", s->id, s->attempt, s->active ? "active" : "assigned");
            text[n++] = ']';
        }
        text[n++] = '}';
        ws_send(c, 1, text, n); free(text);
    }
}

static const char *field(const char *text, const char *name, char *into, size_t size) {
    const char *p = strstr(text, name); if (!p) return NULL;
    p += strlen(name); const char *q = strchr(p, '"'); if (!q || (size_t)(q - p) >= size) return NULL;
    memcpy(into, p, (size_t)(q - p)); into[q - p] = 0; return into;
}

static void assigned(conn_t *c, const char *text) {
    char job[64], url[256], token[100];
    if (!field(text, "\"job_id\":\"", job, sizeof job)) { errno = EPROTO; die("job.assign"); }
    say(c, "{\"type\":\"job.ack\",\"job_id\":\"%s\",\"accepted\":true,\"assign_id\":\"%s\"}", job, job);
    held_t *s = calloc(1, sizeof *s);
    char *dot = strrchr(job, '.'); if (!dot) { errno = EPROTO; die("job id without attempt"); }
    *dot = 0; s->attempt = atoi(dot + 1); snprintf(s->id, sizeof s->id, "%.39s", job);
    s->next = c->sessions; if (s->next) s->next->prev = s;
    c->sessions = s; c->live++;
    u64 now = now_ns();
    if (opt.events) later(&actives, now + opt.active_after, c, s);
    if (opt.hold) later(&ends, now + opt.hold, c, s);
    if (opt.bridges && field(text, "\"bridge_url\":\"", url, sizeof url)
        && field(text, "\"call_token\":\"", token, sizeof token)) {
        char path[200]; const char *at = strstr(url, "/v1/");
        snprintf(path, sizeof path, "%.90s?token=%.90s", at ? at : url, token);
        make(BRIDGE, path, "\"event\":\"hello.ack\"");
    }
}

static void runner_frame(conn_t *c, const char *text) {
    if (!strncmp(text, "{\"type\":\"job.assign\"", 20)) assigned(c, text);
    else if (!strncmp(text, "{\"type\":\"events.ack\"", 20)) acked_events++;
    else if (!strncmp(text, "{\"type\":\"registered\"", 20)) {
        const char *p = strstr(text, "\"heartbeat_interval_s\":");
        if (p) heartbeat_ns = (u64)atoi(p + 23) * 1000000000ull;
        c->beat = now_ns() + rnd() % heartbeat_ns; up(c);
    } else if (!strncmp(text, "{\"type\":\"job.cancel\"", 20)) cancels++;
}

static void frames(conn_t *c) {
    size_t at = 0; uint8_t *b = (uint8_t *)c->in;
    while (c->have - at >= 2) {
        size_t h = 2, n = b[at + 1] & 127;
        if (n == 126) { if (c->have - at < 4) break; n = (size_t)b[at + 2] << 8 | b[at + 3]; h = 4; }
        else if (n == 127) { errno = EMSGSIZE; die("frame"); }
        if (c->have - at < h + n) break;
        char *text = c->in + at + h; int opcode = b[at] & 15; at += h + n;
        char saved = text[n]; text[n] = 0;
        if (opcode == 9) ws_send(c, 10, text, n);
        else if (opcode == 8) {
            if (running && !opt.stay) fprintf(stderr, "load: closed: %d %s\n", (uint8_t)text[0] << 8 | (uint8_t)text[1], text + 2);
            down(c); return;
        } else if (opcode == 1) {
            if (c->kind == RUNNER) runner_frame(c, text);
            else if (c->state == GREETING && strstr(text, c->frame)) { c->busy = 1; up(c); }
        }
        text[n] = saved;
    }
    memmove(c->in, c->in + at, c->have - at); c->have -= at;
}

static void answered_request(conn_t *c, int status, const char *body) {
    outstanding--; c->busy = 0; rest(c);
    count_answer(c->due, now_ns(), status);
    if (status == 200 && opt.texts && body) {
        char id[64], token[100], path[200];
        if (field(body, "\"sessionId\":\"", id, sizeof id) && field(body, "\"token\":\"", token, sizeof token)) {
            snprintf(path, sizeof path, "/v1/sessions/%.40s/text?token=%.90s", id, token);
            make(TEXT, path, "\"event\":\"ready\"");
        }
    }
}

static void http_bytes(conn_t *c) {
    c->in[c->have] = 0;
    char *end = strstr(c->in, "\r\n\r\n"); if (!end) return;
    char *length = strcasestr(c->in, "content-length:");
    size_t body = length && length < end ? (size_t)atol(length + 15) : 0;
    size_t total = (size_t)(end - c->in) + 4 + body;
    if (c->have < total) return;
    int status = atoi(c->in + 9); char saved = c->in[total]; c->in[total] = 0;
    answered_request(c, status, end + 4);
    c->in[total] = saved; memmove(c->in, c->in + total, c->have - total); c->have -= total;
}

static void ask(u64 scheduled) {
    conn_t *c = idle; idle = c->next_idle; c->listed = 0; c->busy = 1; c->due = scheduled; outstanding++;
    char number[24]; snprintf(number, sizeof number, "%010lu", issued++);
    if (key_at) memcpy(request + key_at, number, 10);
    memcpy(request + body_at, number, 10);
    raw(c, request, request_len);
}

static void readable(conn_t *c) {
    for (;;) {
        if (c->have >= INBUF - 1) { errno = EMSGSIZE; die("input"); }
        ssize_t n = read(c->fd, c->in + c->have, INBUF - 1 - c->have);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) { down(c); return; }
        size_t asked = INBUF - 1 - c->have; c->have += (size_t)n; c->in[c->have] = 0;
        if (c->kind == HTTP) http_bytes(c);
        else {
            if (c->state == UPGRADING) {
                char *end = strstr(c->in, "\r\n\r\n"); if (!end) continue;
                if (atoi(c->in + 9) != 101) { errno = EPROTO; die("upgrade"); }
                size_t used = (size_t)(end - c->in) + 4;
                memmove(c->in, c->in + used, c->have - used); c->have -= used; greet(c);
            }
            frames(c); if (c->fd < 0) return;
        }
        if ((size_t)n < asked) return;
    }
}

static void flush_all(void) {
    for (size_t i = 0; i < n_flush; i++) {
        conn_t *c = flush_list[i]; c->queued = 0;
        if (c->fd < 0 || !c->want) continue;
        ssize_t n = write(c->fd, c->out, c->want);
        if (n < 0 && errno != EAGAIN) { down(c); continue; }
        if (n > 0) { memmove(c->out, c->out + n, c->want - (size_t)n); c->want -= (size_t)n; }
        if (c->want) interest(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    }
    n_flush = 0;
}

static void event(conn_t *c, held_t *s, const char *kind, const char *reason) {
    say(c, "{\"type\":\"session.event\",\"seq\":%lu,\"session_id\":\"%s\",\"attempt\":%d,\"kind\":\"%s\","
           "\"at_ms\":%lu%s}", ++c->seq, s->id, s->attempt, kind, wall_ms(), reason);
}

static u64 due_sessions(u64 now) {
    while (actives.head < actives.tail) {
        later_t *l = &actives.ring[actives.head & actives.mask]; if (l->due > now) break;
        actives.head++; l->session->active = 1;
        if (l->runner->state == UP) event(l->runner, l->session, "active", "");
    }
    while (ends.head < ends.tail) {
        later_t *l = &ends.ring[ends.head & ends.mask]; if (l->due > now) break;
        ends.head++; conn_t *c = l->runner; held_t *s = l->session;
        if (c->state == UP) {
            event(c, s, "ending", ""); event(c, s, "ended", ",\"reason\":\"completed\"");
        }
        if (s->next) s->next->prev = s->prev;
        if (s->prev) s->prev->next = s->next; else c->sessions = s->next;
        c->live--; done_sessions++; free(s);
    }
    u64 next = UINT64_MAX;
    if (actives.head < actives.tail) next = actives.ring[actives.head & actives.mask].due;
    if (ends.head < ends.tail && ends.ring[ends.head & ends.mask].due < next)
        next = ends.ring[ends.head & ends.mask].due;
    return next;
}

static void slow_work(u64 now) {  /* every few milliseconds: dial, redial, heartbeats */
    int flying = 0;
    for (size_t i = 0; i < n_conns; i++) {
        conn_t *c = conns[i];
        if (c->state == DOWN && (c->kind == BRIDGE || c->kind == TEXT) && opt.dial_after_s > 0
            && (!finished || now < finished_at + (u64)(opt.dial_after_s * 1e9))) continue;
        if (c->state == DOWN && now >= c->due && flying < 64) { dial(c); flying++; }
        else if (c->kind == RUNNER && c->state == UP && now >= c->beat) {
            c->beat += heartbeat_ns;
            say(c, "{\"type\":\"heartbeat\",\"active_jobs\":%d,\"worker_id\":\"%s-%d\",\"in_flight\":%d}",
                c->live, opt.tag, c->index, c->live);
        }
    }
    int whole = 1;
    for (int k = 0; k < 4; k++) whole &= up_count[k] == all_count[k];
    if (whole && !announced && (finished || !opt.clients)) {
        announced = 1;
        printf("{\"connected\":%lu,\"at_ns\":%lu,\"cancels\":%lu,\"lost\":%lu}\n", n_conns, now, cancels, lost);
        fflush(stdout);
    }
}

static void report_all(void) {
    char more[120];
    snprintf(more, sizeof more, "\"ended\":%lu,\"events_acked\":%lu,\"lost\":%lu,",
             done_sessions, acked_events, lost);
    report(opt.server_core, more);
}

static void options(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(name, "--stay")) { opt.stay = 1; continue; }
        if (!strcmp(name, "--bridges")) { opt.bridges = 1; continue; }
        if (!strcmp(name, "--texts")) { opt.texts = 1; continue; }
        i++;
        if (!strcmp(name, "--port")) opt.port = atoi(value);
        else if (!strcmp(name, "--runners")) opt.runners = atoi(value);
        else if (!strcmp(name, "--slots")) opt.slots = atoi(value);
        else if (!strcmp(name, "--clients")) opt.clients = atoi(value);
        else if (!strcmp(name, "--rate")) { opt.rate = atof(value); opt.open_loop = opt.rate > 0; }
        else if (!strcmp(name, "--warm-s")) opt.warm_s = atof(value);
        else if (!strcmp(name, "--seconds")) opt.seconds = atof(value);
        else if (!strcmp(name, "--ready-s")) opt.ready_s = atof(value);
        else if (!strcmp(name, "--dial-after-s")) opt.dial_after_s = atof(value);
        else if (!strcmp(name, "--hold-ms")) opt.hold = (u64)(atof(value) * 1e6);
        else if (!strcmp(name, "--active-ms")) opt.active_after = (u64)(atof(value) * 1e6);
        else if (!strcmp(name, "--count")) opt.count = (u64)atol(value);
        else if (!strcmp(name, "--events")) opt.events = atoi(value);
        else if (!strcmp(name, "--idempotent")) opt.idempotent = atoi(value);
        else if (!strcmp(name, "--agent")) opt.agent = value;
        else if (!strcmp(name, "--tag")) opt.tag = value;
        else if (!strcmp(name, "--runner-key")) opt.runner_key = value;
        else if (!strcmp(name, "--public-key")) opt.public_key = value;
        else if (!strcmp(name, "--server-pid")) opt.server_pid = atoi(value);
        else if (!strcmp(name, "--server-core")) opt.server_core = atoi(value);
        else { errno = EINVAL; die(name); }
    }
}

static void render(void) {
    char body[600], key[120] = "";
    const char *filler = "The caller asked about an invoice of last month and wants to know when it is due.";
    int n = snprintf(body, sizeof body,
        "{\"body\":{\"customer\":\"c-##########\",\"locale\":\"en-GB\",\"topic\":\"billing\",\"notes\":\"%s\","
        "\"tags\":[\"renewal\",\"priority\"]},\"call\":{\"direction\":\"inbound\",\"user_number\":\"+15551230000\"}}",
        filler);
    if (opt.idempotent) snprintf(key, sizeof key, "Idempotency-Key: %016lx-##########\r\n", run_id);
    request_len = (size_t)snprintf(request, sizeof request,
        "POST /v1/public/%s/start HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer %s\r\n%s"
        "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
        opt.agent, opt.port, opt.public_key, key, n, body);
    char *first = strstr(request, "##########");
    if (opt.idempotent) { key_at = (size_t)(first - request); first = strstr(first + 10, "##########"); }
    body_at = (size_t)(first - request);
}

static void begin(u64 now) {
    running = 1; announced = 0;
    begin_at = now + (u64)(opt.warm_s * 1e9);
    end_at = opt.count ? UINT64_MAX : begin_at + (u64)(opt.seconds * 1e9);
    if (opt.count) { begin_at = now; }
    next_arrival = now;
    printf("{\"ready\":%d}\n", up_count[RUNNER]); fflush(stdout);
}

int main(int argc, char **argv) {
    options(argc, argv);
    run_id = wall_ms() * 1000003u + (u64)getpid(); rng ^= run_id; render();
    poll_fd = epoll_create1(0); timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    static conn_t ticker, input; ticker.fd = timer_fd;
    interest(&ticker, EPOLL_CTL_ADD, EPOLLIN);
    fcntl(0, F_SETFL, O_NONBLOCK);
    if (opt.stay) { input.fd = 0; interest(&input, EPOLL_CTL_ADD, EPOLLIN); }
    for (int i = 0; i < opt.runners; i++) make(RUNNER, "/v1/internal/workers", "");
    for (int i = 0; i < opt.clients; i++) make(HTTP, "", "");
    int measuring = 0; u64 slow_at = 0, give_up = now_ns() + (u64)(opt.ready_s * 1e9), armed = 0;
    struct epoll_event got[512];
    for (;;) {
        u64 now = now_ns(), next = due_sessions(now);
        if (now >= slow_at) { slow_work(now); slow_at = now + 5000000ull; }
        if (!running) {
            if (up_count[RUNNER] == opt.runners && up_count[HTTP] == opt.clients && (opt.clients || !opt.stay)) begin(now);
            else if (!announced && now > give_up) {
                fprintf(stderr, "load: up: %d of %d runners, %d of %d clients\n", up_count[RUNNER],
                        all_count[RUNNER], up_count[HTTP], all_count[HTTP]);
                errno = ETIMEDOUT; die("not all sockets came up");
            }
        }
        if (running && !finished) {
            if (!measuring && now >= begin_at) {
                measuring = 1; window_opens(opt.server_pid, opt.server_core);
            }
            if (measuring && !stop_at && (now >= end_at || (opt.count && issued >= opt.count && !outstanding))) {
                if (opt.count) end_at = now;
                stop_at = now; window_closes(opt.server_pid, opt.server_core);
            }
            if (!stop_at) {
                if (opt.open_loop) {
                    u64 step = (u64)(1e9 / opt.rate);
                    for (; next_arrival <= now && rested(); next_arrival += step) ask(next_arrival);
                    if (rested() && next_arrival < next) next = next_arrival;
                } else while (rested() && (!opt.count || issued < opt.count)) ask(now_ns());
            }
            int quiet = !outstanding && (!opt.hold || ends.head == ends.tail);
            if (stop_at && ((quiet && now > stop_at + 200000000ull) || now > stop_at + 10000000000ull)) {
                finished = 1; finished_at = now; announced = 0; report_all();
                if (!opt.stay) break;
            }
            if (begin_at > now && begin_at < next) next = begin_at;
            if (end_at > now && end_at < next) next = end_at;
        }
        flush_all();
        if (slow_at < next) next = slow_at;
        if (next != armed) { arm(timer_fd, next, now); armed = next; }
        int n = epoll_wait(poll_fd, got, 512, -1);
        if (n < 0 && errno != EINTR) die("epoll_wait");
        for (int i = 0; i < n; i++) {
            conn_t *c = got[i].data.ptr;
            if (c == &ticker) { u64 fired; if (read(timer_fd, &fired, 8) < 0 && errno != EAGAIN) die("timer"); armed = 0; continue; }
            if (c == &input) { char b[64]; if (read(0, b, sizeof b) == 0) goto leave; continue; }
            if (c->fd < 0) continue;
            if (got[i].events & (EPOLLERR | EPOLLHUP) && c->state == CONNECTING) { down(c); continue; }
            if (got[i].events & EPOLLOUT) {
                if (c->state == CONNECTING) connected(c);
                else { interest(c, EPOLL_CTL_MOD, EPOLLIN); if (c->want) room(c, 0); }
            }
            if (got[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) readable(c);
        }
    }
leave:
    for (size_t i = 0; i < n_conns; i++)
        if (conns[i]->kind == RUNNER && conns[i]->state == UP && !conns[i]->live) {
            say(conns[i], "{\"type\":\"bye\"}"); ws_send(conns[i], 8, "\x03\xe8", 2);
        }
    flush_all(); usleep(200000);
    return 0;
}
