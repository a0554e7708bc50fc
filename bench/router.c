/* The bare router in C: what the work itself costs, without names, rules, checks, queues or limits.
 *
 * usage: router PORT|PATH [JOURNAL MIB]
 *
 * It reads frames (plug_router.c has the protocol), routes them, and makes one send for each recipient and turn.  With
 * a journal, what is for one user is appended to a file of so many MiB that was filled before, and synced once a turn,
 * before anyone is told; at the file's end it begins again, for nobody will ever read it. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { HEAD = 9, IDS = 1 << 21, DESCRIPTORS = 65536, MIB = 1 << 20 };

typedef struct buffer { char *bytes; size_t size, room; } buffer;
typedef struct client { int fd, is_dirty, is_blocked, is_member, taken; uint32_t id; buffer in, out; } client;

static client *by_id[IDS], *members[DESCRIPTORS], *dirty[DESCRIPTORS];
static buffer queues[IDS], turn;        /* turn: what goes into the journal at its end */
static int member_count, dirty_count, poller, journal = -1;
static size_t journal_at, journal_size;
static char arrived[1 << 18];

static void append(buffer *b, const void *bytes, size_t size)
{
    if (b->size + size > b->room) b->bytes = realloc(b->bytes, b->room = (b->size + size) * 2);
    if (!b->bytes) exit(1);
    memcpy(b->bytes + b->size, bytes, size);
    b->size += size;
}

static void touch(client *c)
{
    if (c->is_dirty) return;
    c->is_dirty = 1;
    dirty[dirty_count++] = c;
}

static void append_frame(buffer *b, char kind, uint32_t id, const char *text, size_t size)
{
    char head[HEAD];
    uint32_t value = htonl(size + 5);

    memcpy(head, &value, 4);
    head[4] = kind;
    value = htonl(id);
    memcpy(head + 5, &value, 4);
    append(b, head, HEAD);
    if (size) append(b, text, size);
}

static void tell(client *c, char kind, uint32_t id, const char *text, size_t size)
{
    append_frame(&c->out, kind, id, text, size);
    touch(c);
}

static void keep(client *c, uint32_t id, const char *text, size_t size)
{
    append_frame(&turn, 'M', id, text, size);
    c->taken++;
    touch(c);
}

static void on_frame(client *c, char kind, uint32_t id, const char *text, size_t size)
{
    switch (kind) {
    case 'S':
        if (!by_id[id % IDS]) break;
        tell(by_id[id % IDS], 'M', c->id, text, size);
        if (journal >= 0) keep(c, id, text, size);
        break;
    case 'R':
        for (int i = 0; i < member_count; i++)
            if (members[i] != c) tell(members[i], 'M', c->id, text, size);
        break;
    case 'Q':
        append_frame(&queues[id % IDS], 'M', c->id, text, size);
        keep(c, id, text, size);
        break;
    case 'L':
        c->id = id;
        by_id[id % IDS] = c;
        tell(c, 'O', id, 0, 0);
        break;
    case 'J':
        c->is_member = 1;
        members[member_count++] = c;
        tell(c, 'O', 0, 0, 0);
        break;
    case 'F':
        append(&c->out, queues[c->id % IDS].bytes, queues[c->id % IDS].size);
        queues[c->id % IDS].size = 0;
        touch(c);
        break;
    }
}

static size_t on_bytes(client *c, const char *bytes, size_t size)
{
    size_t at = 0;

    while (size - at >= HEAD) {
        uint32_t length, id;
        memcpy(&length, bytes + at, 4);
        memcpy(&id, bytes + at + 5, 4);
        length = ntohl(length);
        if (size - at < 4 + (size_t)length) break;
        on_frame(c, bytes[at + 4], ntohl(id), bytes + at + HEAD, length - 5);
        at += 4 + length;
    }
    return at;
}

static void drop(client *c)
{
    if (by_id[c->id % IDS] == c) by_id[c->id % IDS] = 0;
    for (int i = 0; c->is_member && i < member_count; i++)
        if (members[i] == c) members[i--] = members[--member_count];
    for (int i = 0; i < dirty_count; i++)
        if (dirty[i] == c) dirty[i--] = dirty[--dirty_count];
    close(c->fd);
    free(c->in.bytes);
    free(c->out.bytes);
    free(c);
}

static void watch(client *c, int blocked)
{
    struct epoll_event event = { .events = EPOLLIN | (blocked ? EPOLLOUT : 0), .data.ptr = c };

    if (c->is_blocked != blocked) epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &event);
    c->is_blocked = blocked;
}

static void flush(client *c)
{
    ssize_t sent = send(c->fd, c->out.bytes, c->out.size, MSG_NOSIGNAL);

    if (sent < 0) sent = 0;
    c->out.size -= sent;
    if (c->out.size) memmove(c->out.bytes, c->out.bytes + sent, c->out.size);
    watch(c, c->out.size > 0);
}

static void readable(client *c)
{
    size_t have = c->in.size;

    if (have) memcpy(arrived, c->in.bytes, have);
    ssize_t size = recv(c->fd, arrived + have, sizeof arrived - have, 0);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) {
        drop(c);
        return;
    }
    have += size;
    size_t eaten = on_bytes(c, arrived, have);
    c->in.size = 0;
    if (have > eaten) append(&c->in, arrived + eaten, have - eaten);
}

static void accept_all(int listener)
{
    int fd, one = 1;

    while ((fd = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);     /* fails on a Unix socket, and need not work */
        client *c = calloc(1, sizeof *c);
        if (!c) exit(1);
        c->fd = fd;
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &(struct epoll_event){ .events = EPOLLIN, .data.ptr = c });
    }
}

static void sync_turn(void)
{
    if (turn.size && journal >= 0) {
        if (journal_at + turn.size > journal_size) journal_at = 0;
        ssize_t size = pwrite(journal, turn.bytes, turn.size, journal_at);
        if (size != (ssize_t)turn.size || fdatasync(journal)) {
            perror("journal");
            exit(1);
        }
        journal_at += size;
    }
    turn.size = 0;
}

static void flush_turn(void)
{
    for (int i = 0; i < dirty_count; i++) {
        client *c = dirty[i];
        c->is_dirty = 0;
        if (c->taken) append_frame(&c->out, 'A', c->taken, 0, 0);
        c->taken = 0;
        if (!c->is_blocked && c->out.size) flush(c);
    }
    dirty_count = 0;
}

static int open_listener(const char *where)
{
    int is_local = *where == '/', one = 1;
    int fd = socket(is_local ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in tcp = { .sin_family = AF_INET, .sin_port = htons(atoi(where)),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr_un local = { .sun_family = AF_UNIX };

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    snprintf(local.sun_path, sizeof local.sun_path, "%s", where);
    if (bind(fd, is_local ? (void *)&local : (void *)&tcp, is_local ? sizeof local : sizeof tcp) || listen(fd, 4096)) {
        perror(where);
        exit(1);
    }
    return fd;
}

static void open_journal(const char *path, int mib)
{
    journal = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    journal_size = (size_t)mib * MIB;
    char *zeros = calloc(1, MIB);
    for (int i = 0; i < mib; i++)
        if (!zeros || journal < 0 || write(journal, zeros, MIB) != MIB) {
            perror(path);
            exit(1);
        }
    free(zeros);
    fsync(journal);
}

int main(int argc, char **argv)
{
    if (argc != 2 && argc != 4) return fprintf(stderr, "usage: router PORT|PATH [JOURNAL MIB]\n"), 64;
    if (argc == 4) open_journal(argv[2], atoi(argv[3]));
    int listener = open_listener(argv[1]);
    poller = epoll_create1(0);
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &(struct epoll_event){ .events = EPOLLIN, .data.ptr = 0 });
    for (;;) {
        struct epoll_event events[512];
        int count = epoll_wait(poller, events, 512, -1);
        for (int i = 0; i < count; i++) {
            client *c = events[i].data.ptr;
            if (!c) {
                accept_all(listener);
                continue;
            }
            if (events[i].events & EPOLLOUT) flush(c);
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) readable(c);
        }
        sync_turn();
        flush_turn();
    }
}
