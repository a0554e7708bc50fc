/* XMPP without TLS: SASL PLAIN, bind, presence; XEP-0198's <a/> as the acknowledgement; XEP-0045 for the room. */
#define _GNU_SOURCE
#include "load.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPENING, AUTHENTICATING, REOPENING, BINDING, ENABLING, JOINING, UP };     /* line.state */

#define SASL "urn:ietf:params:xml:ns:xmpp-sasl"
#define BIND "urn:ietf:params:xml:ns:xmpp-bind"
#define ACKS "urn:xmpp:sm:3"
#define ROOM_IS "room@conference.localhost"

static void hello(line *l)
{
    putf(l, "<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='jabber:client' "
            "xmlns:stream='http://etherx.jabber.org/streams'>");
}

static void base64(const char *bytes, int size, char *to)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *at = (const unsigned char *)bytes;

    for (int i = 0; i < size; i += 3) {
        unsigned value = at[i] << 16 | (i + 1 < size ? at[i + 1] << 8 : 0) | (i + 2 < size ? at[i + 2] : 0);
        *to++ = digits[value >> 18];
        *to++ = digits[value >> 12 & 63];
        *to++ = i + 1 < size ? digits[value >> 6 & 63] : '=';
        *to++ = i + 2 < size ? digits[value & 63] : '=';
    }
    *to = 0;
}

static int has(const char *bytes, size_t size, const char *what)
{
    return memmem(bytes, size, what, strlen(what)) != 0;
}

static void be_up(line *l)
{
    l->state = UP;
    on_ready(l);
}

static void authenticate(line *l)
{
    char plain[64], encoded[128];

    int size = snprintf(plain, sizeof plain, "%cu%d%cpw", 0, l->id, 0);
    base64(plain, size, encoded);
    putf(l, "<auth xmlns='" SASL "' mechanism='PLAIN'>%s</auth>", encoded);
}

static void enter(line *l)
{
    if (l->flags) putf(l, "<presence/>");
    if (!(l->flags & ROOM)) {
        be_up(l);
        return;
    }
    putf(l, "<presence to='" ROOM_IS "/u%d'><x xmlns='http://jabber.org/protocol/muc'>"
            "<history maxstanzas='0'/></x></presence>", l->id);
    l->state = JOINING;
}

/* One exchange at a time: what has come is all there is. */
static size_t log_in(line *l, char *bytes, size_t size)
{
    static const char *const awaited[] = {
        [OPENING] = "</stream:features>", [AUTHENTICATING] = "<success", [REOPENING] = "</stream:features>",
        [BINDING] = "</iq>", [ENABLING] = "<enabled" };

    if (has(bytes, size, "<fail")) fail("xmpp: %.*s", (int)size, bytes);
    if (!has(bytes, size, awaited[l->state])) return 0;
    switch (l->state++) {
    case OPENING: authenticate(l); break;
    case AUTHENTICATING: hello(l); break;
    case REOPENING: putf(l, "<iq type='set' id='b'><bind xmlns='" BIND "'><resource>r</resource></bind></iq>"); break;
    case BINDING: putf(l, "<enable xmlns='" ACKS "'/>"); break;
    case ENABLING: enter(l); break;
    }
    return size;
}

/* Each of these takes one element, which begins at `s`, and returns its length, 0 if it is not all here. */

static size_t on_message(line *l, char *s, size_t left)
{
    char *end = memmem(s, left, "</message>", 10);

    if (!end) return 0;
    char *body = memmem(s, end - s, "<body>", 6);
    if (body) {
        char *stop = memmem(body, end - body, "</body>", 7);
        if (has(s, body - s, "type='error'")) fail("xmpp: %.*s", (int)(end - s), s);
        l->count++;                             /* stanzas received, for the server's <r/> */
        on_text(l, body + 6, stop - body - 6);
    } else if (l->state == JOINING && has(s, end - s, "<subject"))
        be_up(l);
    return end - s + 10;
}

static size_t on_ack_asked(line *l, char *s, size_t left)
{
    char *end = memchr(s, '>', left);

    if (!end) return 0;
    putf(l, "<a xmlns='" ACKS "' h='%d'/>", l->count);
    return end - s + 1;
}

static size_t on_ack_given(line *l, char *s, size_t left)
{
    char *end = memchr(s, '>', left);

    if (!end) return 0;
    char *handled = memmem(s, end - s, "h=", 2);
    unsigned total = handled ? atoi(handled + 3) : 0;
    if (total > l->seq) {
        unsigned more = total - l->seq;
        l->seq = total;
        on_ack(l, more);
    }
    return end - s + 1;
}

static size_t on_other(line *l, char *s, size_t left)   /* presence, iq: passed over */
{
    const char *close = !memcmp(s, "<presence", 9) ? "</presence>" : !memcmp(s, "<iq", 3) ? "</iq>" : ">";
    char *end = memchr(s, '>', left);

    if (!end) return 0;
    if (end[-1] != '/') {
        if (!(end = memmem(s, left, close, strlen(close)))) return 0;
        end += strlen(close) - 1;
    }
    if (l->state == JOINING && has(s, end - s, "code='110'")) be_up(l);
    return end - s + 1;
}

static size_t parse(line *l, char *bytes, size_t size)
{
    size_t at = 0;

    if (l->state < JOINING) return log_in(l, bytes, size);
    while (at < size) {
        char *s = bytes + at;
        size_t left = size - at, taken;
        if (*s != '<') {
            at++;
            continue;
        }
        if (left < 9) break;
        if (!memcmp(s, "<message", 8)) taken = on_message(l, s, left);
        else if (!memcmp(s, "<r ", 3) || !memcmp(s, "<r/", 3)) taken = on_ack_asked(l, s, left);
        else if (!memcmp(s, "<a ", 3)) taken = on_ack_given(l, s, left);
        else taken = on_other(l, s, left);
        if (!taken) break;
        at += taken;
    }
    return at;
}

static void to_user(line *l, int user, const char *text, size_t size)
{
    putf(l, "<message to='u%d@localhost' type='chat'><body>%.*s</body></message>", user, (int)size, text);
}

static void to_room(line *l, const char *text, size_t size)
{
    putf(l, "<message to='" ROOM_IS "' type='groupchat'><body>%.*s</body></message>", (int)size, text);
}

static void enqueue(line *l, int user, const char *text, size_t size)
{
    to_user(l, user, text, size);
    putf(l, "<r xmlns='" ACKS "'/>");
}

const protocol xmpp = { "xmpp", ECHOES | MEMBERS_SPEAK, hello, parse, to_user, to_room, enqueue, 0, 0, 0 };
