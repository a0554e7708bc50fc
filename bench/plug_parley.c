/* parley: parley-wire(7).  A user is u<number>.
 *
 * It does what parley's own client does with a message: those that one has for another at once leave in one frame, and
 * every one is confirmed, after it was taken, in ranges that span neighbours of one stream; each range must be answered
 * by CONFIRMED.  parley speaks in a group chat; others do as it does, but parley-all sends to everybody through their
 * queues, parley-receipts asks to be told when its messages were shown, and parley-single gives each message a frame. */
#include "load.h"
#include <arpa/inet.h>
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HELLO = 1, SENDS = 2, CONFIRM = 3, CHECK = 4, INVITE = 7, ANSWER = 8, SAY = 10, PING = 12, PONG = 13 };
enum { WELCOME = 32, REJECTED = 33, STORED = 34, OUTCOMES = 35, REFUSED = 36, MAILS = 38, CONFIRMED = 39, CHECKED = 40 };
enum { INVITATION = 43, CALLED_OFF = 46, STARTED = 47, LEFT = 48, ENDED = 49, LINE = 50, FAILED = 52 };
enum { RECEIPTS = 2, EVERYONE = 2, FROM_CHECK = 4, MAILBOX_FULL = 4 };
enum { MAIL_HEAD = 30, LINE_HEAD = 13 };        /* the fields before the texts, without the sender's name */
enum { RUN_COUNT = 1400, RUN_BYTES = 49152 };   /* texts in one frame, and bytes of them: what the daemon takes, or less */

static void put_u16(char *at, uint16_t value)
{
    value = htons(value);
    memcpy(at, &value, sizeof value);
}

static void put_u32(char *at, uint32_t value)
{
    value = htonl(value);
    memcpy(at, &value, sizeof value);
}

static void put_u64(char *at, uint64_t value)
{
    value = htobe64(value);
    memcpy(at, &value, sizeof value);
}

static uint16_t get_u16(const char *at)
{
    uint16_t value;

    memcpy(&value, at, sizeof value);
    return ntohs(value);
}

static uint32_t get_u32(const char *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof value);
    return ntohl(value);
}

static uint64_t get_u64(const char *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof value);
    return be64toh(value);
}

/* A word: a byte of length, and u<number>. */
static int put_name(char *at, int user)
{
    return at[0] = sprintf(at + 1, "u%d", user), at[0] + 1;
}

/* Length and kind of a frame, whose fields are `fields` and so many bytes more. */
static void put_frame(line *l, char *frame, int kind, int fields, size_t more)
{
    put_u32(frame, 1 + fields + more);
    frame[4] = kind;
    put(l, frame, 5 + fields);
}

/* An id of a message: another run's ids must be others, or the daemon knows them again and stores nothing. */
static uint64_t next_id(line *l)
{
    static uint64_t instance;

    if (!instance) instance = (now_ns() / 1000 & 0xffffffff) | 1;
    return instance << 32 | ++l->seq;
}

static void say_hello(line *l, int features)
{
    char frame[64] = { 0 };

    put_u16(frame + 5, 1);
    put_u32(frame + 7, features);               /* then a token of 16 zeros: no earlier session is taken over */
    put_frame(l, frame, HELLO, 22 + put_name(frame + 27, l->id), 0);
    l->seq = 0;
}

static void hello(line *l) { say_hello(l, 0); }
static void hello_receipts(line *l) { say_hello(l, RECEIPTS); }

static void send_one(line *l, char *frame, size_t fields, const char *text, size_t size)
{
    put_u16(frame + 5 + fields, 1);
    put_u16(frame + 7 + fields, size);
    put_frame(l, frame, SENDS, fields + 4, size);
    put(l, text, size);
}

static void to_user_singly(line *l, int user, const char *text, size_t size)
{
    char frame[64];

    put_u64(frame + 5, next_id(l));
    frame[13] = 0;
    put_u16(frame + 14, 1);
    send_one(l, frame, 11 + put_name(frame + 16, user), text, size);
}

static void to_all(line *l, const char *text, size_t size)
{
    char frame[64];

    put_u64(frame + 5, next_id(l));
    frame[13] = EVERYONE;
    put_u16(frame + 14, 0);
    send_one(l, frame, 11, text, size);
}

/* Messages to one user that have not left yet. */
typedef struct run {
    uint64_t first;
    int user, count;
    size_t size;
    char lengths[2 * RUN_COUNT], texts[RUN_BYTES];
} run;

static run *run_of(line *l)
{
    run *r;

    memcpy(&r, l->tag, sizeof r);
    if (!r) {
        if (!(r = calloc(1, sizeof *r))) fail("no memory");
        memcpy(l->tag, &r, sizeof r);
    }
    return r;
}

static void finish(line *l)
{
    char frame[64];
    run *r;

    memcpy(&r, l->tag, sizeof r);
    if (!r || !r->count) return;
    put_u64(frame + 5, r->first);
    frame[13] = 0;
    put_u16(frame + 14, 1);
    int fields = 11 + put_name(frame + 16, r->user);
    put_u16(frame + 5 + fields, r->count);
    put_frame(l, frame, SENDS, fields + 2, 2 * r->count + r->size);
    put(l, r->lengths, 2 * r->count);
    put(l, r->texts, r->size);
    r->count = r->size = 0;
}

static void to_user(line *l, int user, const char *text, size_t size)
{
    run *r = run_of(l);

    if (r->count && (r->user != user || r->count == RUN_COUNT || r->size + size > RUN_BYTES)) finish(l);
    if (!r->count) r->first = next_id(l), r->user = user;
    else next_id(l);
    put_u16(r->lengths + 2 * r->count++, size);
    memcpy(r->texts + r->size, text, size);
    r->size += size;
    put_later(l);
}

static void to_chat(line *l, const char *text, size_t size)
{
    char frame[64];

    put_u32(frame + 5, ++l->seq);
    put_u32(frame + 9, l->state);
    put_frame(l, frame, SAY, 8, size);
    put(l, text, size);
}

static void fetch(line *l)
{
    char frame[16];

    put_u32(frame + 5, 1);
    put_frame(l, frame, CHECK, 4, 0);
}

/* One invites all the others to a group chat; it begins when the last has accepted. */
static void gather(line *all, int count)
{
    char frame[11], name[32];
    size_t size = 0;

    for (int i = 1; i < count; i++) size += put_name(name, all[i].id);
    put_u32(frame + 5, 1);
    put_u16(frame + 9, count - 1);
    put_frame(&all[0], frame, INVITE, 6, size);
    for (int i = 1; i < count; i++) put(&all[0], name, put_name(name, all[i].id));
}

static void accept_invitation(line *l, const char *invitation)
{
    char frame[16];

    memcpy(frame + 5, invitation, 4);
    frame[9] = 1;
    put_frame(l, frame, ANSWER, 5, 0);
}

static void pong(line *l, const char *stamp)
{
    char frame[16];

    memcpy(frame + 5, stamp, 8);
    put_frame(l, frame, PONG, 8, 0);
}

/* Neighbours of one stream that were taken and are not confirmed yet. */
typedef struct range { uint64_t first, last; int stream; } range;

static void confirm(line *l, range *taken)
{
    char frame[32];

    if (!taken->first) return;
    put_u64(frame + 5, taken->first);
    put_u64(frame + 13, taken->last);
    put_frame(l, frame, CONFIRM, 16, 0);
    taken->first = 0;
    owe(1);
}

static void on_mails(line *l, char *fields, range *taken)
{
    int stream = fields[24] & FROM_CHECK;
    char *body = fields + MAIL_HEAD + (unsigned char)fields[29];
    int count = get_u16(body);
    char *text = body + 2 + 2 * count;

    if (stream != taken->stream) confirm(l, taken);
    if (!taken->first) taken->first = get_u64(fields);
    taken->last = get_u64(fields) + count - 1;
    taken->stream = stream;
    for (int i = 0; i < count; i++) {
        size_t size = get_u16(body + 2 + 2 * i);
        on_text(l, text, size);
        text += size;
    }
}

static void on_frame(line *l, int kind, char *fields, size_t size, range *taken)
{
    size_t head;

    switch (kind) {
    case MAILS: on_mails(l, fields, taken); break;
    case LINE: head = LINE_HEAD + (unsigned char)fields[12]; on_text(l, fields + head, size - head); break;
    case STORED: on_ack(l, get_u64(fields + 8) - get_u64(fields) + 1); break;
    case CONFIRMED: owe(-1); break;
    case WELCOME: on_ready(l); break;
    case OUTCOMES: if (fields[16] == MAILBOX_FULL) fail("parley: a mailbox is full"); break;
    case PING: pong(l, fields); break;
    case INVITATION: accept_invitation(l, fields); break;
    case STARTED: l->state = get_u32(fields); on_joined(l); break;
    case CHECKED: break;
    case REJECTED: case REFUSED: case FAILED: case CALLED_OFF: case LEFT: case ENDED:
        fail("parley: user %d was told %d: %.*s", l->id, kind, (int)size, fields);
    default: break;                             /* receipts, what is only for people */
    }
}

static size_t parse(line *l, char *bytes, size_t size)
{
    size_t at = 0;
    range taken = { 0, 0, 0 };

    while (size - at >= 5) {
        uint32_t length = get_u32(bytes + at);
        if (size - at < 4 + (size_t)length) break;
        on_frame(l, bytes[at + 4], bytes + at + 5, length - 1, &taken);
        at += 4 + length;
    }
    confirm(l, &taken);
    return at;
}

const protocol parley = {
    "parley", ACKS_MAIL | MEMBERS_SPEAK, hello, parse, to_user, to_chat, to_user, fetch, gather, finish };
const protocol parley_single = {
    "parley-single", ACKS_MAIL | MEMBERS_SPEAK, hello, parse, to_user_singly, to_chat, to_user_singly, fetch, gather, 0 };
const protocol parley_all = {
    "parley-all", ACKS_MAIL | ACKS_ROOM, hello, parse, to_user, to_all, to_user, fetch, 0, finish };
const protocol parley_receipts = {
    "parley-receipts", ACKS_MAIL | MEMBERS_SPEAK, hello_receipts, parse, to_user, to_chat, to_user, fetch, gather,
    finish };
