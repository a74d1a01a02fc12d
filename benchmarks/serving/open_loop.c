/* Open-loop load: requests fall due at random moments of a fixed mean rate,
 * whether earlier ones are answered or not, and each is timed from the moment
 * when it was due. Waiting for a free connection counts.
 *
 *     open_loop HOST PORT TARGETS TAIL RATE SECONDS CONNECTIONS SEED LATE_MS
 *
 * Gaps are exponential, as between many independent users; connections are used
 * in rotation. One thread spins on its core, so no request is late for a sleep.
 * It prints one line of JSON at the end.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER_BYTES = 1 << 15, MAX_EVENTS = 256 };
static const int64_t GRACE_NS = 5000000000; /* for what is unanswered at the end */

struct connection {
    int fd;         /* -1 while it is not connected */
    int is_waiting; /* for an answer */
    int64_t due_ns; /* when its request was due */
    size_t n_read;
    char buffer[BUFFER_BYTES];
};

static struct sockaddr_in server;
static int epoll_fd;
static char **requests;
static size_t n_requests;
static struct connection **idle; /* a ring: the one that was idle longest is next */
static size_t n_connections, first_idle, n_idle;
static int64_t *due_ns, *elapsed_ns, late_ns;
static size_t n_due, n_sent, n_answered, n_failed, n_late;
static uint64_t random_state;

static void stop(const char *what) {
    perror(what);
    exit(1);
}

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static uint64_t next_random(void) { /* xorshift64* */
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 2685821657736338717ULL;
}

static void read_targets(const char *path, const char *tail) {
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t room = 0, capacity = 0;
    ssize_t n;
    if (!file) stop(path);
    while ((n = getline(&line, &room, file)) > 0) {
        if (n_requests == capacity) {
            capacity = capacity ? 2 * capacity : 1024;
            requests = realloc(requests, capacity * sizeof *requests);
        }
        line[n - 1] = 0;
        if (asprintf(&requests[n_requests++], "GET %s%s", line, tail) < 0) stop("memory");
    }
    fclose(file);
    if (!n_requests) stop("no targets");
}

/* All moments are drawn before the first: the draw takes no time of the run. */
static void draw_moments(double rate, double seconds) {
    size_t capacity = rate * seconds * 1.1 + 1000;
    due_ns = malloc(capacity * sizeof *due_ns);
    elapsed_ns = malloc(capacity * sizeof *elapsed_ns);
    for (double at = 0; n_due < capacity; due_ns[n_due++] = at * 1e9) {
        at -= log(((next_random() >> 11) + 1) * 0x1p-53) / rate;
        if (at >= seconds) break;
    }
}

static void hang_up(struct connection *c) {
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
}

static int dial(struct connection *c) {
    int yes = 1;
    c->n_read = 0;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&server, sizeof server)) {
        hang_up(c);
        return 0;
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event);
    return 1;
}

static void make_idle(struct connection *c) {
    c->is_waiting = 0;
    c->n_read = 0;
    idle[(first_idle + n_idle++) % n_connections] = c;
}

static void send_what_is_due(int64_t began) {
    int64_t now = now_ns();
    while (n_idle && n_sent < n_due && began + due_ns[n_sent] <= now) {
        struct connection *c = idle[first_idle];
        first_idle = (first_idle + 1) % n_connections;
        n_idle--;
        const char *request = requests[next_random() % n_requests];
        ssize_t n_bytes = strlen(request);
        c->due_ns = began + due_ns[n_sent++];
        c->is_waiting = 1;
        if ((c->fd < 0 && !dial(c)) || send(c->fd, request, n_bytes, MSG_NOSIGNAL) != n_bytes) {
            hang_up(c);
            n_failed++;
            make_idle(c);
        }
    }
}

/* 0: incomplete; 1: a good answer; 2: the last good one on this connection; -1: not good */
static int check_answer(const struct connection *c) {
    const char *end = memmem(c->buffer, c->n_read, "\r\n\r\n", 4);
    if (!end) return c->n_read < BUFFER_BYTES - 1 ? 0 : -1;
    const char *length = strcasestr(c->buffer, "\r\ncontent-length:");
    if (strncmp(c->buffer, "HTTP/1.1 200 ", 13) || !length || length > end) return -1;
    size_t whole = end + 4 - c->buffer + strtoul(length + 17, NULL, 10);
    if (c->n_read != whole) return c->n_read < whole ? 0 : -1;
    const char *closes = strcasestr(c->buffer, "\r\nconnection: close");
    return closes && closes < end ? 2 : 1;
}

static void read_answer(struct connection *c) {
    ssize_t n = read(c->fd, c->buffer + c->n_read, BUFFER_BYTES - 1 - c->n_read);
    if (n < 0 && errno == EAGAIN) return;
    if (n > 0) c->buffer[c->n_read += n] = 0;
    int verdict = n > 0 && c->is_waiting ? check_answer(c) : -1;
    if (verdict == 0) return;
    if (verdict != 1) hang_up(c);
    if (!c->is_waiting) return; /* closed while idle: it connects again for its next request */
    if (verdict > 0) {
        int64_t elapsed = now_ns() - c->due_ns;
        elapsed_ns[n_answered++] = elapsed;
        n_late += elapsed > late_ns;
    } else {
        n_failed++;
    }
    make_idle(c);
}

static int by_value(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static long long percentile(double share) {
    size_t index = share * n_answered;
    return n_answered ? elapsed_ns[index < n_answered ? index : n_answered - 1] : 0;
}

static void report(double seconds) {
    qsort(elapsed_ns, n_answered, sizeof *elapsed_ns, by_value);
    printf("{\"due\": %zu, \"answered\": %zu, \"failed\": %zu, \"late\": %zu, \"seconds\": %.3f, "
           "\"p50_ns\": %lld, \"p99_ns\": %lld, \"p99_9_ns\": %lld, \"max_ns\": %lld}\n",
           n_due, n_answered, n_due - n_answered, n_late, seconds, percentile(0.5),
           percentile(0.99), percentile(0.999), percentile(1.0));
}

int main(int argc, char **argv) {
    if (argc != 10) {
        fprintf(stderr, "usage: %s HOST PORT TARGETS TAIL RATE SECONDS CONNECTIONS SEED LATE_MS\n",
                argv[0]);
        return 2;
    }
    double rate = atof(argv[5]), seconds = atof(argv[6]);
    n_connections = strtoul(argv[7], NULL, 10);
    random_state = strtoull(argv[8], NULL, 10) * 2 + 1; /* never 0 */
    late_ns = strtoll(argv[9], NULL, 10) * 1000000;
    server.sin_family = AF_INET;
    server.sin_port = htons(atoi(argv[2]));
    inet_pton(AF_INET, argv[1], &server.sin_addr);
    read_targets(argv[3], argv[4]);
    draw_moments(rate, seconds);

    epoll_fd = epoll_create1(0);
    idle = calloc(n_connections, sizeof *idle);
    for (size_t i = 0; i < n_connections; i++) {
        struct connection *c = calloc(1, sizeof *c);
        if (!dial(c)) stop("connect");
        make_idle(c);
    }

    int64_t began = now_ns(), end = began + seconds * 1e9 + GRACE_NS;
    while (n_answered + n_failed < n_due && now_ns() < end) {
        struct epoll_event events[MAX_EVENTS];
        send_what_is_due(began);
        int n_ready = epoll_wait(epoll_fd, events, MAX_EVENTS, 0);
        for (int i = 0; i < n_ready; i++) read_answer(events[i].data.ptr);
    }
    report((now_ns() - began) / 1e9);
    return 0;
}
