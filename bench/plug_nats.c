/* NATS: core publish and subscribe; JetStream for what is kept (one work-queue stream, a pull consumer for a user). */
#define _GNU_SOURCE
#include "load.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 1000 };                  /* kept messages asked for at once */
enum { INBOX = 1, THE_ROOM, REPLIES, KEPT };    /* subscription ids */
enum { LOGGING_IN, UP, MAKING_STREAM, MAKING_CONSUMER, FETCHING };      /* line.state, of JetStream alone */

static int is_jetstream;

static void publish(line *l, const char *subject, const char *reply, const char *text, size_t size)
{
    putf(l, "PUB %s %s %zu\r\n", subject, reply, size);
    put(l, text, size);
    put(l, "\r\n", 2);
}

static void hello(line *l)
{
    l->state = LOGGING_IN;              /* the server speaks first */
    is_jetstream = 0;
}

static void hello_jetstream(line *l)
{
    l->state = LOGGING_IN;
    is_jetstream = 1;
}

static void on_info(line *l)
{
    putf(l, "CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":false,\"name\":\"u%d\"}\r\n", l->id);
    if (l->flags & SELF) putf(l, "SUB u.%d %d\r\n", l->id, INBOX);
    if (l->flags & ROOM) putf(l, "SUB room %d\r\n", THE_ROOM);
    if (is_jetstream) putf(l, "SUB a.%d %d\r\nSUB d.%d %d\r\n", l->id, REPLIES, l->id, KEPT);
    putf(l, "PING\r\n");
}

static void ask(line *l, const char *subject, const char *json)
{
    char reply[32];

    snprintf(reply, sizeof reply, "a.%d", l->id);
    publish(l, subject, reply, json, strlen(json));
}

static void make_stream(line *l)        /* each line asks for it; all but the first are told that it is there */
{
    ask(l, "$JS.API.STREAM.CREATE.Q",
        "{\"name\":\"Q\",\"subjects\":[\"q.*\"],\"retention\":\"workqueue\",\"storage\":\"file\","
        "\"num_replicas\":1,\"max_msgs\":-1,\"max_bytes\":-1}");
    l->state = MAKING_STREAM;
}

static void fetch(line *l)
{
    char subject[64], json[256];

    snprintf(subject, sizeof subject, "$JS.API.CONSUMER.DURABLE.CREATE.Q.c%d", l->id);
    snprintf(json, sizeof json,
             "{\"stream_name\":\"Q\",\"config\":{\"durable_name\":\"c%d\",\"ack_policy\":\"explicit\","
             "\"filter_subject\":\"q.%d\",\"deliver_policy\":\"all\",\"max_ack_pending\":%d}}", l->id, l->id, BATCH);
    ask(l, subject, json);
    l->state = MAKING_CONSUMER;
}

static void fetch_next(line *l)
{
    char subject[64], reply[32], json[64];

    snprintf(subject, sizeof subject, "$JS.API.CONSUMER.MSG.NEXT.Q.c%d", l->id);
    snprintf(reply, sizeof reply, "d.%d", l->id);
    snprintf(json, sizeof json, "{\"batch\":%d}", BATCH);
    publish(l, subject, reply, json, strlen(json));
}

static void on_reply(line *l, const char *body, size_t size)
{
    if (size > 8 && memmem(body, size, "\"error\"", 7) && l->state != MAKING_STREAM)
        fail("jetstream: %.*s", (int)size, body);
    if (l->state == MAKING_STREAM) {
        l->state = UP;
        on_ready(l);
    } else if (l->state == MAKING_CONSUMER) {
        l->state = FETCHING;
        fetch_next(l);
    } else
        on_ack(l, 1);
}

static void on_kept(line *l, const char *reply, const char *body, size_t size)
{
    if (size != text_size) fail("jetstream: %.*s", (int)size, body);
    putf(l, "PUB %.*s 0\r\n\r\n", (int)strcspn(reply, " "), reply);     /* its acknowledgement */
    on_text(l, body, size);
    if (++l->count % BATCH == 0) fetch_next(l);
}

/* "MSG subject id [reply] bytes", and the bytes; returns how many they were, 0 if they are not all here. */
static size_t on_msg(line *l, char *head, char *newline, size_t rest)
{
    char *words[6];
    int count = 0;

    for (char *at = head; at < newline && count < 6; ) {
        words[count++] = at;
        while (at < newline && *at != ' ') at++;
        while (at < newline && *at == ' ') at++;
    }
    size_t size = atol(words[count - 1]);
    if (rest < size + 2) return 0;
    switch (atoi(words[2])) {
    case REPLIES: on_reply(l, newline + 1, size); break;
    case KEPT: on_kept(l, words[3], newline + 1, size); break;
    default: on_text(l, newline + 1, size);
    }
    return size + 2;
}

static size_t parse(line *l, char *bytes, size_t size)
{
    size_t at = 0;
    char *newline;

    while (at < size && (newline = memchr(bytes + at, '\n', size - at))) {
        char *word = bytes + at;
        size_t next = newline + 1 - bytes;
        if (word[0] == 'M') {
            size_t body = on_msg(l, word, newline, size - next);
            if (!body) return at;
            next += body;
        } else if (!memcmp(word, "PING", 4)) putf(l, "PONG\r\n");
        else if (!memcmp(word, "PONG", 4)) {
            if (is_jetstream && l->state == LOGGING_IN) make_stream(l);
            else on_ready(l);
        } else if (!memcmp(word, "INFO", 4)) on_info(l);
        else if (word[0] == '-') fail("nats: %.*s", (int)(next - at), word);
        at = next;
    }
    return at;
}

static void to_user(line *l, int user, const char *text, size_t size)
{
    char subject[32];

    snprintf(subject, sizeof subject, "u.%d", user);
    publish(l, subject, "", text, size);
}

static void to_room(line *l, const char *text, size_t size) { publish(l, "room", "", text, size); }

static void enqueue(line *l, int user, const char *text, size_t size)
{
    char subject[32], reply[32];

    snprintf(subject, sizeof subject, "q.%d", user);
    snprintf(reply, sizeof reply, "a.%d", l->id);
    publish(l, subject, reply, text, size);
}

const protocol nats = { "nats", 0, hello, parse, to_user, to_room, 0, 0, 0, 0 };
const protocol jetstream = { "jetstream", 0, hello_jetstream, parse, to_user, to_room, enqueue, fetch, 0, 0 };
