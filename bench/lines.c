/* lines.c: the sockets.
 *
 * What is put() on a line leaves at lines_flush(), in one send for each line and turn; what the socket does not take
 * leaves when it can.  Bytes that came are given to the protocol, which eats whole frames alone. */
#define _GNU_SOURCE
#include "load.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

const protocol *spoken;
const char *host = "127.0.0.1";
int port, sources = 1, may_close;

static int poller, timer = -1, dirty_count;
static line **dirty;                    /* those with something to send */
static char arrived[1 << 18];           /* of one line: what was left over, and one read */

uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fprintf(stderr, "load: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    exit(1);
}

void lines_start(int count)
{
    dirty = calloc(count + 1, sizeof *dirty);
    poller = epoll_create1(0);
    if (!dirty || poller < 0) fail("%s", strerror(errno));
}

int lines_timer(uint64_t nanoseconds)
{
    struct timespec every = { .tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000 };

    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    if (timer < 0 || timerfd_settime(timer, 0, &(struct itimerspec){ every, every }, 0)) return -1;
    return epoll_ctl(poller, EPOLL_CTL_ADD, timer, &(struct epoll_event){ .events = EPOLLIN, .data.ptr = 0 });
}

/* ---- output ---- */

void put_later(line *l)
{
    if (!l->is_dirty) {
        l->is_dirty = 1;
        dirty[dirty_count++] = l;
    }
}

void put(line *l, const void *bytes, size_t size)
{
    if (l->out_size + size > l->out_room) {
        l->out_room = (l->out_size + size) * 2;
        if (!(l->out = realloc(l->out, l->out_room))) fail("no memory");
    }
    memcpy(l->out + l->out_size, bytes, size);
    l->out_size += size;
    put_later(l);
}

void putf(line *l, const char *format, ...)
{
    char text[TEXT_MAX + 2048];
    va_list arguments;

    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    put(l, text, size);
}

static void lost(line *l, const char *why)
{
    int size = l->in_size > 200 ? 200 : l->in_size;

    fail("%s: line %d (user %d) is lost: %s; state %d, read '%.*s'", spoken->name, l->index, l->id, why, l->state,
         size, l->in ? l->in : "");
}

static void watch(line *l, int blocked)
{
    struct epoll_event event = { .events = EPOLLIN | (blocked ? EPOLLOUT : 0), .data.ptr = l };

    epoll_ctl(poller, EPOLL_CTL_MOD, l->fd, &event);
    l->is_blocked = blocked;
}

static void flush(line *l)
{
    while (l->out_sent < l->out_size) {
        ssize_t size = send(l->fd, l->out + l->out_sent, l->out_size - l->out_sent, MSG_NOSIGNAL);
        if (size < 0) {
            if (errno != EAGAIN) lost(l, strerror(errno));
            if (!l->is_blocked) watch(l, 1);
            return;
        }
        l->out_sent += size;
    }
    l->out_sent = l->out_size = 0;
    if (l->is_blocked) watch(l, 0);
}

void lines_flush(void)
{
    for (int i = 0; i < dirty_count; i++) {
        if (spoken->finish) spoken->finish(dirty[i]);
        dirty[i]->is_dirty = 0;
        if (!dirty[i]->is_blocked && !dirty[i]->is_closed) flush(dirty[i]);
    }
    dirty_count = 0;
}

/* ---- input ---- */

static void keep(line *l, const char *bytes, size_t size)
{
    if (size > l->in_room) {
        l->in_room = size * 2;
        if (!(l->in = realloc(l->in, l->in_room))) fail("no memory");
    }
    if (size) memcpy(l->in, bytes, size);
    l->in_size = size;
}

static void readable(line *l)
{
    for (;;) {
        size_t have = l->in_size;
        if (have) memcpy(arrived, l->in, have);
        ssize_t size = recv(l->fd, arrived + have, sizeof arrived - have, 0);
        if (size < 0 && errno == EAGAIN) return;
        if (size <= 0) {
            if (may_close) {
                lines_close(l);
                return;
            }
            lost(l, size ? strerror(errno) : "closed by the server");
        }
        have += size;
        size_t eaten = spoken->parse(l, arrived, have);
        if (l->is_closed) return;
        keep(l, arrived + eaten, have - eaten);
        if (have < sizeof arrived) return;
    }
}

void lines_poll(int milliseconds)
{
    struct epoll_event events[512];

    int count = epoll_wait(poller, events, 512, milliseconds);
    for (int i = 0; i < count; i++) {
        line *l = events[i].data.ptr;
        if (!l) {
            uint64_t ticks;
            (void)!read(timer, &ticks, sizeof ticks);
            continue;
        }
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR) && !l->is_closed) readable(l);
        if (events[i].events & EPOLLOUT && !l->is_closed) flush(l);
    }
}

/* ---- to open and to close ---- */

static int connect_local(int fd)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };

    snprintf(to.sun_path, sizeof to.sun_path, "%s", host);
    return connect(fd, (void *)&to, sizeof to);
}

static int connect_tcp(int fd, int index)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
    int one = 1;

    inet_aton(host, &to.sin_addr);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (sources > 1) {                  /* one address has not ports enough for a crowd */
        struct sockaddr_in from = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000002 + index % sources) };
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
        if (bind(fd, (void *)&from, sizeof from)) fail("bind: %s", strerror(errno));
    }
    return connect(fd, (void *)&to, sizeof to);
}

void lines_open(line *l)
{
    int is_local = *host == '/';

    l->fd = socket(is_local ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
    if (l->fd < 0) fail("socket: %s", strerror(errno));
    /* No TIME_WAIT: the next run needs the ports. */
    setsockopt(l->fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger));
    if (is_local ? connect_local(l->fd) : connect_tcp(l->fd, l->index))
        fail("connect %d: %s", l->index, strerror(errno));
    fcntl(l->fd, F_SETFL, O_NONBLOCK);
    l->is_closed = 0;
    epoll_ctl(poller, EPOLL_CTL_ADD, l->fd, &(struct epoll_event){ .events = EPOLLIN, .data.ptr = l });
    spoken->hello(l);
}

void lines_close(line *l)
{
    if (l->is_closed) return;
    close(l->fd);                       /* the poller forgets it */
    l->is_closed = 1;
    l->is_blocked = 0;
    l->in_size = l->out_size = l->out_sent = 0;
}
