/* load: a load generator for message servers.
 *
 * usage: load -p PROTOCOL -m WORK [-h ADDRESS|PATH] [-o PORT] [-P PID] [OPTIONS]; prints one line of JSON.
 *
 *   -m pair      -n users, each sends to another, with -w messages on the way; counts what arrived
 *      room      one (-k 1) or all of a room of -n speak, with -w messages on the way to each; counts what arrived
 *      ping      two users, one message on the way; how long it was, and until its sender had the OK
 *      beat      one user sends to another every -b microseconds, whatever comes back; how long each was on the way
 *      flood     the same to another program: to the next user by number, or to the room if anybody may join it
 *      enqueue   -n users (or one, -c times) send to users who are not there; counts what was acknowledged
 *      drain     a user who was not there comes back and takes -c messages; from connecting to the last confirmation
 *      register  -n users log in once, and go
 *   -i idle users beside it; -l logins at once; -s bytes of text; -t seconds after -W of warming up; -u the number of
 *   the first user; -a how far from it those who are not there begin; -S addresses to connect from; -P the server's
 *   pid; -e seconds to settle; -v say "begun" on standard error when the work begins.
 *
 * A message is counted when its receiver has it whole, and has the right length and end.  After the measured time
 * nothing more is sent, and a protocol that acknowledges has ten seconds (-e) to settle: everything sent must have
 * arrived, be acknowledged, and its removal be confirmed.  Otherwise the run fails: a figure for messages whose OK
 * never came is worth nothing. */
#include "load.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const protocol *const protocols[] = {
    &parley, &parley_single, &parley_all, &parley_receipts, &router, &mqtt0, &mqtt1, &irc, &redis, &redis_stream, &nats, &jetstream,
    &beanstalk, &xmpp, 0 };

static enum work { PAIR, ROOM_OF, PING, BEAT, FLOOD, ENQUEUE, DRAIN, REGISTER } work;
static const char *const works[] = { "pair", "room", "ping", "beat", "flood", "enqueue", "drain", "register", 0 };

enum { RING = 4096 };                   /* acknowledgements awaited that are timed, for each line: more than any -w */
enum { STAMP = 16, STAMPED_MIN = STAMP + 1 };   /* bytes of a text that are its time, in hexadecimal; then its end */
static const uint64_t SECOND = 1000000000, LOGIN_LIMIT = 300 * SECOND, SILENCE_LIMIT = 20 * SECOND;

size_t text_size = 100;
int wants_fetch;
static int users = 50, speakers, window = 32, idle, first_user = 1, away = 100000, server, logins = 64;
static int says_begun;
static long goal, beat_us = 5000;
static double warmup = 0.5, seconds = 3, settle_limit = 10;

static line *all;
static int count_all, count_active, count_opened, count_ready, count_joined;
static line **waiting;                  /* those whose window has room */
static int count_waiting, is_stopping, is_measuring;
static uint64_t sent, expected, delivered, acked, wrong;    /* expected: deliveries, for all that was sent */
static int64_t owed;                    /* confirmations that were not answered yet */
static char text[TEXT_MAX];

typedef struct samples { uint32_t *of; size_t count, room; } samples;
static samples deliveries, acks;

static void sample(samples *s, uint64_t since)
{
    if (!is_measuring || is_stopping) return;
    if (s->count == s->room) {
        s->room = s->room ? s->room * 2 : 65536;
        if (!(s->of = realloc(s->of, s->room * sizeof *s->of))) fail("no memory");
    }
    uint64_t taken = now_ns() - since;
    s->of[s->count++] = taken > UINT32_MAX ? UINT32_MAX : taken;
}

/* ---- what a protocol reports ---- */

static void wake(line *l)
{
    if (!l->is_waiting) {
        l->is_waiting = 1;
        waiting[count_waiting++] = l;
    }
}

void on_ready(line *l)
{
    if (l->ready) return;
    l->ready = 1;
    count_ready++;
}

void on_joined(line *l)
{
    if (l->joined) return;
    l->joined = 1;
    count_joined++;
}

static uint64_t stamp_of(const char *s)
{
    uint64_t value = 0;

    for (int i = 0; i < STAMP; i++) value = value << 4 | (s[i] <= '9' ? s[i] - '0' : s[i] - 'a' + 10);
    return value;
}

static const char *stamped(uint64_t time)
{
    for (int i = STAMP - 1; i >= 0; i--, time >>= 4) text[i] = "0123456789abcdef"[time & 15];
    return text;
}

void on_text(line *l, const char *s, size_t size)
{
    if (work == BEAT && size != text_size) return;      /* what others send to all comes here too */
    if (size != text_size || s[size - 1] != '.') {
        wrong++;
        return;
    }
    delivered++;
    if (work == PAIR) {
        line *sender = &all[l->index - users];
        sender->in_flight--;
        wake(sender);
    } else if (work == PING || work == BEAT) {
        sample(&deliveries, stamp_of(s));
        if (work == PING) wake(l);
    }
}

void on_ack(line *l, int count)
{
    acked += count;
    if (l->sent_at)
        for (int i = 0; i < count && l->acked != l->unacked; i++) sample(&acks, l->sent_at[l->acked++ % RING]);
    if (work == ENQUEUE) {
        l->in_flight -= count;
        wake(l);
    }
}

void owe(int count) { owed += count; }

/* ---- the works ---- */

static void note_sent(line *l, int recipients)
{
    sent++;
    expected += recipients;
    if (l->sent_at) l->sent_at[l->unacked++ % RING] = now_ns();
}

static void fill_window(line *l)
{
    if (work == PING) {
        note_sent(l, 1);
        spoken->to_user(l, all[!l->index].id, stamped(now_ns()), text_size);
        return;
    }
    while (l->in_flight < window && !(work == ENQUEUE && goal && sent >= (uint64_t)goal)) {
        l->in_flight++;
        note_sent(l, work == PAIR);
        if (work == PAIR) spoken->to_user(l, l->id + users, text, text_size);
        else spoken->enqueue(l, goal ? first_user + away : l->id + away, text, text_size);
    }
}

static void speak_in_room(void)
{
    static unsigned turn;
    int echoes = spoken->does & ECHOES;
    uint64_t each = speakers > 1 ? users - !echoes : users + (echoes && spoken->does & MEMBERS_SPEAK);

    while (expected - delivered + each <= each * window) {
        line *l = speakers > 1 ? &all[turn++ % users] : &all[users];
        note_sent(l, each);
        spoken->to_room(l, text, text_size);
    }
}

static void beat(uint64_t now)
{
    static uint64_t next;

    if (!next) next = now;
    for (; next <= now; next += beat_us * 1000) {       /* stamped when it was due: our own delay is not hidden */
        note_sent(&all[0], work == BEAT);
        if (work == FLOOD && !spoken->gather) spoken->to_room(&all[0], stamped(next), text_size);
        else spoken->to_user(&all[0], first_user + 1, stamped(next), text_size);
    }
}

static void do_work(void)
{
    int count = count_waiting;

    count_waiting = 0;
    for (int i = 0; i < count; i++) {
        waiting[i]->is_waiting = 0;
        if (!is_stopping) fill_window(waiting[i]);
    }
    if (work == ROOM_OF && !is_stopping) speak_in_room();
    if ((work == BEAT || work == FLOOD) && !is_stopping) beat(now_ns());
}

static void turn(int milliseconds)
{
    lines_poll(milliseconds);
    do_work();
    lines_flush();
}

/* ---- logging in ---- */

static void log_in(int upto)
{
    uint64_t limit = now_ns() + LOGIN_LIMIT;

    while (count_ready < upto) {
        while (count_opened < upto && count_opened - count_ready < logins) lines_open(&all[count_opened++]);
        lines_flush();
        lines_poll(100);
        if (now_ns() > limit) fail("%s: only %d of %d could log in", spoken->name, count_ready, upto);
    }
    lines_flush();
}

static void gather(void)
{
    uint64_t limit = now_ns() + LOGIN_LIMIT;

    if (work != ROOM_OF || !spoken->gather) return;
    spoken->gather(all, count_active);
    while (count_joined < count_active) {
        lines_flush();
        lines_poll(100);
        if (now_ns() > limit) fail("%s: only %d of %d came to the room", spoken->name, count_joined, count_active);
    }
    lines_flush();
}

/* Each user logs in once; `logins` lines are enough for a million of them. */
static void register_all(void)
{
    int next = 0, done = 0;
    uint64_t limit = now_ns() + LOGIN_LIMIT;

    for (int i = 0; i < count_all; i++) all[i].is_closed = 1;
    while (done < users) {
        for (int i = 0; i < count_all; i++) {
            line *l = &all[i];
            if (l->ready) {
                lines_close(l);
                l->ready = 0;
                done++;
                limit = now_ns() + LOGIN_LIMIT;
            }
            if (l->is_closed && next < users) {
                l->id = first_user + away + next++;
                l->state = l->count = 0;
                lines_open(l);
            }
        }
        lines_flush();
        if (done < users) lines_poll(100);
        if (now_ns() > limit) fail("%s: only %d of %d could log in", spoken->name, done, users);
    }
}

/* ---- a run ---- */

typedef struct moment { uint64_t at, sent, delivered, acked; double server, own; } moment;

static moment mark(void)
{
    return (moment){ now_ns(), sent, delivered, acked, process_cpu(server), own_cpu() };
}

static int has_reached_goal(void)
{
    return work == DRAIN ? delivered >= (uint64_t)goal && !owed : acked >= (uint64_t)goal;
}

/* Work until the time or the goal is reached; `from` is set when the warming up is over. */
static void measure(moment *from)
{
    uint64_t begin = now_ns() + (uint64_t)(goal ? 0 : warmup * 1e9), over = begin + (uint64_t)(seconds * 1e9);
    uint64_t seen = 0, seen_at = now_ns();

    for (;;) {
        uint64_t now = now_ns(), total = delivered + acked + (work == FLOOD ? sent : 0);
        if (!is_measuring && now >= begin) {
            is_measuring = 1;
            if (work != DRAIN) *from = mark();
        }
        if (goal ? has_reached_goal() : is_measuring && now >= over) return;
        if (total != seen) {
            seen = total;
            seen_at = now;
        } else if (now - seen_at > SILENCE_LIMIT)
            fail("%s: nothing for 20 s: %lu sent, %lu delivered, %lu acknowledged, %lu wrong", spoken->name, sent,
                 delivered, acked, wrong);
        turn(work == PING ? 0 : 50);    /* where time is measured we do not sleep */
    }
}

/* Send no more; wait until all that was sent has arrived, was acknowledged, and is confirmed to be forgotten. */
static double settle(void)
{
    uint64_t begin = now_ns(), acks_due = 0;

    is_stopping = 1;
    if (!(spoken->does & ACKS_MAIL)) return 0;
    if (work != DRAIN && (work != ROOM_OF || spoken->does & ACKS_ROOM)) acks_due = sent;
    while (delivered < expected || acked < acks_due || owed) {
        turn(10);
        if (now_ns() - begin > settle_limit * 1e9)
            fail("%s: not settled after %g s: %lu of %lu arrived, %lu of %lu acknowledged, %ld confirmations open",
                 spoken->name, settle_limit, delivered, expected, acked, acks_due, (long)owed);
    }
    return (now_ns() - begin) / 1e9;
}

static int ascending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static void print_samples(const char *what, samples *s)
{
    static const struct { const char *name; double part; } points[] = {
        { "p50", .5 }, { "p90", .9 }, { "p99", .99 }, { "p999", .999 }, { "max", 1 } };

    if (!s->count) return;
    qsort(s->of, s->count, sizeof *s->of, ascending);
    printf(",\"%s_count\":%zu", what, s->count);
    for (int i = 0; i < 5; i++)
        printf(",\"%s_%s\":%.1f", what, points[i].name, s->of[(size_t)(points[i].part * (s->count - 1))] / 1e3);
}

static void print_result(const moment *from, const moment *to, double settle_s)
{
    uint64_t count = work == ENQUEUE ? to->acked - from->acked : to->delivered - from->delivered;

    if (work == REGISTER) count = users;
    if (work == FLOOD) count = to->sent - from->sent;
    double wall = (to->at - from->at) / 1e9, server_cpu = to->server - from->server;

    printf("{\"protocol\":\"%s\",\"work\":\"%s\",\"count\":%lu,\"seconds\":%.4f,\"rate\":%.1f,\"server_cpu\":%.2f,"
           "\"cpu_us\":%.3f,\"load_busy\":%.2f,\"wrong\":%lu,\"settle_s\":%.4f,\"memory_kb\":%ld",
           spoken->name, works[work], count, wall, count / wall, server_cpu, count ? server_cpu / count * 1e6 : 0,
           (to->own - from->own) / wall, wrong, settle_s, process_memory(server));
    print_samples("delivery", &deliveries);
    print_samples("ack", &acks);
}

/* ---- to begin ---- */

static int find(const char *name, const char *(*get)(int))
{
    for (int i = 0; get(i); i++)
        if (!strcmp(get(i), name)) return i;
    fail("%s is not known here", name);
}

static const char *protocol_name(int i) { return protocols[i] ? protocols[i]->name : 0; }
static const char *work_name(int i) { return works[i]; }

static void parse_options(int argc, char **argv)
{
    int option;

    while ((option = getopt(argc, argv, "p:m:n:k:w:t:W:c:i:u:a:b:P:h:o:s:S:l:e:v")) != -1) switch (option) {
    case 'p': spoken = protocols[find(optarg, protocol_name)]; break;
    case 'm': work = find(optarg, work_name); break;
    case 'n': users = atoi(optarg); break;
    case 'k': speakers = atoi(optarg); break;
    case 'w': window = atoi(optarg); break;
    case 't': seconds = atof(optarg); break;
    case 'W': warmup = atof(optarg); break;
    case 'c': goal = atol(optarg); break;
    case 'i': idle = atoi(optarg); break;
    case 'u': first_user = atoi(optarg); break;
    case 'a': away = atoi(optarg); break;
    case 'b': beat_us = atol(optarg); break;
    case 'P': server = atoi(optarg); break;
    case 'h': host = optarg; break;
    case 'o': port = atoi(optarg); break;
    case 's': text_size = atoi(optarg); break;
    case 'S': sources = atoi(optarg); break;
    case 'l': logins = atoi(optarg); break;
    case 'e': settle_limit = atof(optarg); break;
    case 'v': says_begun = 1; break;
    default: fail("see the head of load.c");
    }
    if (!spoken) fail("-p says which protocol");
    if (text_size < 1 || text_size > TEXT_MAX) fail("a text has 1 to %d bytes", TEXT_MAX);
    if (text_size < STAMPED_MIN && (work == PING || work == BEAT || work == FLOOD))
        fail("a text that holds its time has %d bytes at least", STAMPED_MIN);
    if (window > RING) fail("-w is at most %d", RING);
}

static void prepare_text(void)
{
    static const char words[] = "the quick brown fox jumps over the lazy dog ";

    for (size_t i = 0; i < text_size; i++) text[i] = words[i % (sizeof words - 1)];
    text[text_size - 1] = '.';
}

static int flags_of(int index, int is_idle)
{
    if (is_idle || work == PING || work == BEAT) return SELF;
    if (work == PAIR) return index >= users ? SELF : 0;
    if (work == FLOOD) return ROOM;
    if (work == ROOM_OF) return index < users || spoken->does & MEMBERS_SPEAK ? ROOM : 0;
    return work == REGISTER || work == DRAIN ? SELF | KEEP : 0;
}

static void prepare_lines(void)
{
    switch (work) {
    case PAIR: count_active = users * 2; break;
    case ROOM_OF: count_active = users + (speakers <= 1); break;
    case PING: case BEAT: count_active = 2; break;
    case DRAIN: count_active = 1; break;
    case REGISTER: count_active = logins; break;
    case FLOOD: count_active = 1; break;
    default: count_active = goal ? 1 : users;
    }
    count_all = count_active + idle;
    all = calloc(count_all, sizeof *all);
    waiting = calloc(count_all + 1, sizeof *waiting);
    if (!all || !waiting) fail("no memory");
    lines_start(count_all);
    for (int i = 0; i < count_all; i++) {
        all[i].index = i;
        all[i].id = first_user + i + (work == DRAIN ? away : 0);
        all[i].flags = flags_of(i, i >= count_active);
        if (i < count_active && (work == PING || work == BEAT || (work == ENQUEUE && window == 1)))
            all[i].sent_at = calloc(RING, sizeof(uint64_t));
    }
}

/* Idle users beside the active ones: what they cost. */
static struct { double logins_s, login_cpu_us, each_kb; } idlers;

static void add_idle(void)
{
    if (!idle) return;
    long memory = process_memory(server);
    moment from = mark();
    log_in(count_all);
    moment to = mark();
    usleep(200000);                     /* what the server does after the last login */
    idlers.logins_s = idle / ((to.at - from.at) / 1e9);
    idlers.login_cpu_us = (to.server - from.server) / idle * 1e6;
    idlers.each_kb = (double)(process_memory(server) - memory) / idle;
}

static void start_work(void)
{
    if (work == PAIR || work == ENQUEUE)
        for (int i = 0; i < users && i < count_active; i++) wake(&all[i]);
    if (work == PING) wake(&all[0]);
    if (work == DRAIN && spoken->fetch) spoken->fetch(&all[0]);
    lines_flush();
}

int main(int argc, char **argv)
{
    double settle_s = 0;

    parse_options(argc, argv);
    prepare_text();
    wants_fetch = work == DRAIN;
    prepare_lines();
    if ((work == BEAT || work == FLOOD) && lines_timer(beat_us * 1000)) fail("no timer");

    moment from = mark();
    if (work == REGISTER) {
        may_close = 1;
        register_all();
    } else {
        log_in(count_active);
        gather();
        add_idle();
        start_work();
        if (says_begun) fprintf(stderr, "begun\n");
        measure(&from);
    }
    moment to = mark();
    if (work != REGISTER && work != DRAIN) settle_s = settle();
    print_result(&from, &to, settle_s);
    if (idle)
        printf(",\"idle\":%d,\"logins_s\":%.0f,\"login_cpu_us\":%.1f,\"idle_kb\":%.3f", idle, idlers.logins_s,
               idlers.login_cpu_us, idlers.each_kb);
    printf("}\n");
    return 0;
}
