/* The bare routers' protocol: u32 length of the rest, u8 kind, u32 user, text.
 *
 * L log in, J join the room, O done; S to a user, R to the room, M delivered; Q for one who is not there, A so many are
 * on disk, F what was kept for me. */
#include "load.h"
#include <arpa/inet.h>
#include <string.h>

enum { HEAD = 9 };

static void put_frame(line *l, char kind, uint32_t user, const char *text, size_t size)
{
    char head[HEAD];
    uint32_t value = htonl(size + 5);

    memcpy(head, &value, 4);
    head[4] = kind;
    value = htonl(user);
    memcpy(head + 5, &value, 4);
    put(l, head, HEAD);
    if (size) put(l, text, size);
}

static void hello(line *l)
{
    put_frame(l, 'L', l->id, 0, 0);
    l->state = 1;
    if (l->flags & ROOM) {
        put_frame(l, 'J', 0, 0, 0);
        l->state++;
    }
}

static size_t parse(line *l, char *bytes, size_t size)
{
    size_t at = 0;

    while (size - at >= HEAD) {
        uint32_t length, user;
        memcpy(&length, bytes + at, 4);
        length = ntohl(length);
        if (size - at < 4 + (size_t)length) break;
        memcpy(&user, bytes + at + 5, 4);
        switch (bytes[at + 4]) {
        case 'M': on_text(l, bytes + at + HEAD, length - 5); break;
        case 'A': on_ack(l, ntohl(user)); break;
        case 'O': if (--l->state == 0) on_ready(l); break;
        default: fail("router: kind %d", bytes[at + 4]);
        }
        at += 4 + length;
    }
    return at;
}

static void to_user(line *l, int user, const char *text, size_t size) { put_frame(l, 'S', user, text, size); }
static void to_room(line *l, const char *text, size_t size) { put_frame(l, 'R', 0, text, size); }
static void enqueue(line *l, int user, const char *text, size_t size) { put_frame(l, 'Q', user, text, size); }
static void fetch(line *l) { put_frame(l, 'F', 0, 0, 0); }

const protocol router = { "router", MEMBERS_SPEAK, hello, parse, to_user, to_room, enqueue, fetch, 0, 0 };
