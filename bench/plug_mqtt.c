/* MQTT 3.1.1, QoS 0 and QoS 1. */
#include "load.h"
#include <stdio.h>
#include <string.h>

enum { CONNECT = 1, CONNACK = 2, PUBLISH = 3, PUBACK = 4, SUBSCRIBE = 8, SUBACK = 9 };
enum { KEEP_SESSION = 0, CLEAN_SESSION = 2 };

static int qos;

static void put_head(line *l, int first, size_t rest)   /* the fixed header: 7 bits of the length in each byte */
{
    unsigned char head[5] = { first };
    int size = 1;

    do {
        head[size] = rest & 127;
        rest >>= 7;
        if (rest) head[size] |= 128;
        size++;
    } while (rest);
    put(l, head, size);
}

static void put_u16(line *l, unsigned value) { put(l, (unsigned char[]){ value >> 8, value }, 2); }

static void put_string(line *l, const char *s)
{
    put_u16(l, strlen(s));
    put(l, s, strlen(s));
}

static void log_in(line *l)
{
    char name[32];

    snprintf(name, sizeof name, "u%d", l->id);
    put_head(l, CONNECT << 4, 10 + 2 + strlen(name));
    put_string(l, "MQTT");
    put(l, (char[]){ 4, l->flags & KEEP ? KEEP_SESSION : CLEAN_SESSION, 0, 0 }, 4);
    put_string(l, name);
}

static void hello0(line *l)
{
    qos = 0;
    log_in(l);
}

static void hello1(line *l)
{
    qos = 1;
    log_in(l);
}

static void subscribe(line *l, const char *topic)
{
    put_head(l, SUBSCRIBE << 4 | 2, 2 + 2 + strlen(topic) + 1);
    put_u16(l, 1);
    put_string(l, topic);
    put(l, &(char){ qos }, 1);
    l->state++;                         /* SUBACKs to come */
}

static void on_connack(line *l, int code)
{
    char topic[32];

    if (code) fail("mqtt: refused with %d", code);
    snprintf(topic, sizeof topic, "u/%d", l->id);
    if (l->flags & SELF && !wants_fetch) subscribe(l, topic);   /* a kept session is subscribed already */
    if (l->flags & ROOM) subscribe(l, "room");
    if (!l->state) on_ready(l);
}

static void on_publish(line *l, int first, unsigned char *body, size_t size)
{
    size_t skip = 2 + (body[0] << 8 | body[1]);

    if (first & 6) {                    /* QoS 1: with an id, and to be acknowledged */
        put(l, (unsigned char[]){ PUBACK << 4, 2, body[skip], body[skip + 1] }, 4);
        skip += 2;
    }
    on_text(l, (char *)body + skip, size - skip);
}

static size_t parse(line *l, char *bytes, size_t size)
{
    unsigned char *at = (unsigned char *)bytes, *end = at + size;

    while (end - at >= 2) {
        size_t length = 0, head = 1;
        int shift = 0;
        do {
            if (at + head >= end) return at - (unsigned char *)bytes;
            length |= (size_t)(at[head] & 127) << shift;
            shift += 7;
        } while (at[head++] & 128);
        if ((size_t)(end - at) < head + length) break;
        unsigned char *body = at + head;
        switch (at[0] >> 4) {
        case CONNACK: on_connack(l, body[1]); break;
        case PUBLISH: on_publish(l, at[0], body, length); break;
        case PUBACK: on_ack(l, 1); break;
        case SUBACK: if (--l->state == 0) on_ready(l); break;
        }
        at = body + length;
    }
    return at - (unsigned char *)bytes;
}

static void publish(line *l, const char *topic, const char *text, size_t size)
{
    size_t length = strlen(topic);

    put_head(l, PUBLISH << 4 | qos << 1, 2 + length + (qos ? 2 : 0) + size);
    put_u16(l, length);
    put(l, topic, length);
    if (qos) put_u16(l, l->seq = l->seq % 65535 + 1);
    put(l, text, size);
}

static void to_user(line *l, int user, const char *text, size_t size)
{
    char topic[32];

    snprintf(topic, sizeof topic, "u/%d", user);
    publish(l, topic, text, size);
}

static void to_room(line *l, const char *text, size_t size) { publish(l, "room", text, size); }

const protocol mqtt0 = { "mqtt0", ECHOES, hello0, parse, to_user, to_room, to_user, 0, 0, 0 };
const protocol mqtt1 = { "mqtt1", ECHOES | ACKS_MAIL | ACKS_ROOM, hello1, parse, to_user, to_room, to_user, 0, 0, 0 };
