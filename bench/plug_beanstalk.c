/* beanstalkd: a tube for each user; put, then reserve and delete. */
#include "load.h"
#include <stdlib.h>
#include <string.h>

enum { AHEAD = 100 };                   /* reservations asked for at once */

static void hello(line *l)
{
    l->seq = ~0u;                       /* the user whose tube is in use */
    if (wants_fetch) putf(l, "watch q%d\r\nignore default\r\n", l->id);
    else putf(l, "use q0\r\n");
}

static void fetch(line *l)
{
    for (int i = 0; i < AHEAD; i++) putf(l, "reserve\r\n");
}

static size_t parse(line *l, char *bytes, size_t size)
{
    size_t at = 0;
    char *newline;

    while (at < size && (newline = memchr(bytes + at, '\n', size - at))) {
        char *word = bytes + at;
        size_t next = newline + 1 - bytes;
        if (!memcmp(word, "INSERTED", 8)) on_ack(l, 1);
        else if (!memcmp(word, "DELETED", 7)) ;
        else if (!memcmp(word, "RESERVED", 8)) {
            char *rest;
            unsigned long job = strtoul(word + 9, &rest, 10), length = strtoul(rest, 0, 10);
            if (size < next + length + 2) return at;
            putf(l, "delete %lu\r\nreserve\r\n", job);
            on_text(l, bytes + next, length);
            next += length + 2;
        } else if (!memcmp(word, "USING", 5)) on_ready(l);
        else if (!memcmp(word, "WATCHING", 8)) {
            if (++l->count == 2) on_ready(l);
        } else fail("beanstalkd: %.*s", (int)(newline - word), word);
        at = next;
    }
    return at;
}

static void enqueue(line *l, int user, const char *text, size_t size)
{
    if (l->seq != (unsigned)user) putf(l, "use q%d\r\n", user);
    l->seq = user;
    putf(l, "put 0 0 600 %zu\r\n", size);
    put(l, text, size);
    put(l, "\r\n", 2);
}

const protocol beanstalk = { "beanstalk", 0, hello, parse, 0, 0, enqueue, fetch, 0, 0 };
