/* Redis, RESP3: PUBLISH and SUBSCRIBE; what is kept is a list (RPUSH, LPOP) or a stream (XADD, XRANGE). */
#include "load.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 1000 };                  /* kept messages asked for at once */
enum { ID_MIN = 10, ID_MAX = 60 };      /* the length of a stream entry's id: no text of ours is as short as that */

static int is_stream;

static void log_in(line *l)
{
    l->state = !!(l->flags & SELF) + !!(l->flags & ROOM);
    if (l->flags & KEEP) l->state = 0;
    if (!l->state) {
        putf(l, "PING\r\n");
        return;
    }
    putf(l, "HELLO 3\r\n");
    if (l->flags & SELF) putf(l, "SUBSCRIBE u%d\r\n", l->id);
    if (l->flags & ROOM) putf(l, "SUBSCRIBE room\r\n");
}

static void hello(line *l)
{
    is_stream = 0;
    log_in(l);
}

static void hello_stream(line *l)
{
    is_stream = 1;
    log_in(l);
}

static void fetch(line *l)
{
    if (!is_stream) putf(l, "LPOP q%d %d\r\n", l->id, BATCH);
    else putf(l, "XRANGE q%d %s%s + COUNT %d\r\n", l->id, l->tag[0] ? "(" : "-", l->tag, BATCH);
}

static void on_bulk(line *l, char *bytes, size_t size)
{
    if (size == text_size) {
        on_text(l, bytes, size);
        if (wants_fetch && ++l->count % BATCH == 0) fetch(l);
    } else if (size == 9 && !memcmp(bytes, "subscribe", 9)) {
        if (--l->state == 0) on_ready(l);
    } else if (size > ID_MIN && size < ID_MAX && memchr(bytes, '-', size)) {
        if (!wants_fetch) on_ack(l, 1);
        else {                          /* the next batch begins after it */
            memcpy(l->tag, bytes, size);
            l->tag[size] = 0;
        }
    }
}

/* Token by token: the only bulk string as long as a text is a text. */
static size_t parse(line *l, char *bytes, size_t size)
{
    size_t at = 0;
    char *newline;

    while (at < size && (newline = memchr(bytes + at, '\n', size - at))) {
        size_t next = newline + 1 - bytes;
        switch (bytes[at]) {
        case '-': fail("redis: %.*s", (int)(next - at), bytes + at);
        case ':': on_ack(l, 1); break;
        case '+': if (!l->ready && !l->state) on_ready(l); break;
        case '$': {
            long length = atol(bytes + at + 1);
            if (length < 0) break;
            if (size < next + length + 2) return at;
            on_bulk(l, bytes + next, length);
            next += length + 2;
        }
        }
        at = next;
    }
    return at;
}

static void put_bulk(line *l, const char *text, size_t size)
{
    putf(l, "$%zu\r\n", size);
    put(l, text, size);
    put(l, "\r\n", 2);
}

static void to_user(line *l, int user, const char *text, size_t size)
{
    char name[32];
    int length = snprintf(name, sizeof name, "u%d", user);

    putf(l, "*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%s\r\n", length, name);
    put_bulk(l, text, size);
}

static void to_room(line *l, const char *text, size_t size)
{
    putf(l, "*3\r\n$7\r\nPUBLISH\r\n$4\r\nroom\r\n");
    put_bulk(l, text, size);
}

static void enqueue(line *l, int user, const char *text, size_t size)
{
    char name[32];
    int length = snprintf(name, sizeof name, "q%d", user);

    if (is_stream) putf(l, "*5\r\n$4\r\nXADD\r\n$%d\r\n%s\r\n$1\r\n*\r\n$1\r\nm\r\n", length, name);
    else putf(l, "*3\r\n$5\r\nRPUSH\r\n$%d\r\n%s\r\n", length, name);
    put_bulk(l, text, size);
}

const protocol redis = { "redis", ECHOES, hello, parse, to_user, to_room, enqueue, fetch, 0, 0 };
const protocol redis_stream = { "redis-stream", ECHOES, hello_stream, parse, to_user, to_room, enqueue, fetch, 0, 0 };
