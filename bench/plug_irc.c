/* IRC: PRIVMSG to a nick or to #room; RFC 2812. */
#include "load.h"
#include <string.h>

static void hello(line *l) { putf(l, "NICK u%d\r\nUSER u%d 0 * :u\r\n", l->id, l->id); }

static int begins(const char *word, const char *end, const char *with)
{
    size_t size = strlen(with);

    return (size_t)(end - word) >= size && !memcmp(word, with, size);
}

/* A line without its CR LF, from its command on. */
static void on_command(line *l, char *word, char *end)
{
    if (begins(word, end, "PRIVMSG ")) {
        char *colon = memchr(word, ':', end - word);
        if (colon) on_text(l, colon + 1, end - colon - 1);
    } else if (begins(word, end, "PING "))
        putf(l, "PONG %.*s\r\n", (int)(end - word) - 5, word + 5);
    else if (begins(word, end, "001")) {
        if (l->flags & ROOM) putf(l, "JOIN #room\r\n");
    } else if (begins(word, end, "376") || begins(word, end, "422")) {  /* the message of the day ends, or is none */
        if (!(l->flags & ROOM)) on_ready(l);
    } else if (begins(word, end, "366"))        /* the end of the names in the room */
        on_ready(l);
    else if (begins(word, end, "433") || begins(word, end, "ERROR") || begins(word, end, "40"))
        fail("irc: %.*s", (int)(end - word), word);
}

static size_t parse(line *l, char *bytes, size_t size)
{
    size_t at = 0;
    char *newline;

    while (at < size && (newline = memchr(bytes + at, '\n', size - at))) {
        char *word = bytes + at, *end = newline;
        at = newline + 1 - bytes;
        while (end > word && end[-1] == '\r') end--;
        if (*word == ':' && (word = memchr(word, ' ', end - word))) word++;     /* who says it */
        if (word) on_command(l, word, end);
    }
    return at;
}

static void to_user(line *l, int user, const char *text, size_t size)
{
    putf(l, "PRIVMSG u%d :", user);
    put(l, text, size);
    put(l, "\r\n", 2);
}

static void to_room(line *l, const char *text, size_t size)
{
    put(l, "PRIVMSG #room :", 15);
    put(l, text, size);
    put(l, "\r\n", 2);
}

const protocol irc = { "irc", MEMBERS_SPEAK, hello, parse, to_user, to_room, to_user, 0, 0, 0 };
