/* load.h: what the load generator's parts know of each other.
 *
 * load.c owns the works and the clock, lines.c the sockets, process.c what the kernel says of the server;
 * a plug-in (plug_*.c) owns one protocol. */
#ifndef LOAD_H
#define LOAD_H
#include <stddef.h>
#include <stdint.h>

enum { TEXT_MAX = 16384 };

/* What a line is for, as far as a protocol must know. */
enum { SELF = 1, ROOM = 2, KEEP = 4 };  /* hears its own inbox; hears the room; leaves a session behind */

/* One connection: a client of the server. */
typedef struct line {
    int fd, index, id, flags;           /* user u<id> */
    int state, count;                   /* the plug-in's own, as are the next two */
    unsigned seq;
    char tag[96];
    int ready, joined, in_flight;       /* the engine's own from here on */
    int is_dirty, is_waiting, is_blocked, is_closed;
    char *in, *out;
    size_t in_size, in_room, out_size, out_sent, out_room;
    uint64_t *sent_at;                  /* when what was not yet acknowledged was sent: a ring */
    unsigned acked, unacked;
} line;

/* What a protocol's server does with a message. */
enum {
    ECHOES = 1,                         /* a speaker in the room hears its own words */
    MEMBERS_SPEAK = 2,                  /* only members may speak in the room */
    ACKS_MAIL = 4,                      /* every message to a user is acknowledged */
    ACKS_ROOM = 8,                      /* so is every message to the room */
};

/* A plug-in. */
typedef struct protocol {
    const char *name;
    int does;
    void (*hello)(line *);              /* write the login */
    size_t (*parse)(line *, char *, size_t);    /* eat whole frames, report them, return how many bytes they were */
    void (*to_user)(line *, int user, const char *text, size_t size);
    void (*to_room)(line *, const char *text, size_t size);
    void (*enqueue)(line *, int user, const char *text, size_t size);   /* kept for a user who is not there */
    void (*fetch)(line *);              /* ask for what was kept */
    void (*gather)(line *all, int count);       /* make a room of these, who are all logged in; each says on_joined */
    void (*finish)(line *);             /* put what it held back of this turn's messages; 0: it holds nothing back */
} protocol;

extern const protocol parley, parley_single, parley_all, parley_receipts, router, mqtt0, mqtt1, irc, redis, redis_stream, nats,
    jetstream, beanstalk, xmpp;

/* For plug-ins: to write, and to report. */
void put(line *, const void *, size_t);
void put_later(line *);                 /* finish() will */
void putf(line *, const char *, ...) __attribute__((format(printf, 2, 3)));
void on_ready(line *);                  /* logged in, and subscribed to what its flags say */
void on_joined(line *);                 /* in the room that gather() made */
void on_text(line *, const char *text, size_t size);    /* a message has arrived, whole */
void on_ack(line *, int count);         /* the server took the next so many of this line's messages */
void owe(int count);                    /* this many confirmations were sent (+) or answered (-) */
void fail(const char *, ...) __attribute__((format(printf, 1, 2), noreturn));
extern size_t text_size;                /* of every message of this run */
extern int wants_fetch;                 /* this run takes what was kept */

/* lines.c, for load.c. */
extern const protocol *spoken;
extern const char *host;                /* an address, or the path of a Unix socket */
extern int port, sources, may_close;
void lines_start(int count);
void lines_open(line *);
void lines_close(line *);
void lines_poll(int milliseconds);
void lines_flush(void);
int lines_timer(uint64_t nanoseconds);  /* wake lines_poll at least this often */
uint64_t now_ns(void);

/* process.c */
double process_cpu(int pid);            /* seconds, of a process and its children */
long process_memory(int pid);           /* KiB resident, of the same */
double own_cpu(void);
#endif
