/* A WebSocket client that holds many connections from one process: one epoll set, no threads.
 *
 * It speaks to loopback addresses only. Commands come as lines on standard input, answers go as JSON
 * objects, one a line, to standard output; it ends with its input, with the parent process, or when
 * `--seconds` are over. All times it prints are CLOCK_MONOTONIC, so that they compare with those of
 * other processes on the machine.
 *
 *   open N          have N connections open; answered by "opened" when there are, or given up
 *   churn N         open and leave N connections, half of them without a word; "churned"
 *   echo MS SIZE    every connection sends a message of SIZE bytes as soon as the one before came back
 *   beat MS RATE    send `--beat` RATE times a second over all connections; with RATE 0 every
 *                   connection sends it with a ping behind it as soon as the ping before was answered
 *   mark            forget what was counted of messages, bytes and reads
 *   watch N         "reached" as soon as N messages came since the last mark
 *   stats           counts so far; also data segments that the kernel received, over the open connections
 *   drop            reset all connections
 *   quit            end
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define BUFFER (256 * 1024)
#define PART_MAX 4096 /* bytes kept of an answer to the handshake or of a frame's beginning */
#define EVENTS 512
#define SECOND INT64_C(1000000000)
#define MAX_CODES 32
/* Source ports. They are named here: the kernel's own search becomes slow as an address fills up. */
#define FIRST_PORT 10000
#define PORTS 55000

enum { TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };
enum state { FREE, CONNECTING, UPGRADING, GREETING, OPEN, LEAVING };
enum work { HOLD, ECHO, BEAT };

static const uint8_t MASK[4] = {0x37, 0xfa, 0x21, 0x3d};

struct connection {
    int fd;
    uint8_t state;
    uint8_t opcode;      /* of the data frame whose payload is being skipped */
    bool writing;        /* EPOLLOUT is asked for */
    bool waiting;        /* an answer is due */
    uint16_t greeted;    /* messages since the upgrade */
    uint16_t part_size;
    uint32_t out_size;
    uint64_t skip;       /* payload bytes of a data frame still to come */
    uint64_t size;       /* of that frame's payload */
    int64_t since;       /* when the attempt began, then when the last question was sent */
    uint8_t *part;
    uint8_t *out;        /* what the socket did not take */
};

/* --- options ------------------------------------------------------------------------------------- */

static struct sockaddr_in server = {.sin_family = AF_INET};
static uint32_t source_first;
static int source_count = 1;
static int capacity = 1000;
static int in_flight_max = 64;
static int greetings = 0, answers = 0;
static double open_rate = 0;
static double patience = 30;
static double life = 3600;
static const char *path = "/ws";
static const char *subprotocol = NULL;
static const char *token_path = NULL;
static bool binary = false;
static uint8_t *hello;
static size_t hello_size;
static uint8_t *beat;
static size_t beat_size, lone_beat_size; /* with the ping behind it, without */

/* --- state --------------------------------------------------------------------------------------- */

static struct connection *connections;
static int *idle_slots, idle_count;
static int epoll_fd;
static FILE *tokens;
static char request_head[1024];
static size_t request_head_size;
static uint8_t buffer[PART_MAX + BUFFER];

static int want, open_count, in_flight, given_up;
static bool opening;
static int64_t open_began, opened_total, lost, retries, retries_left;
static double allowance;
static int64_t allowance_at;
static uint64_t next_source;
static int churn_left, churn_done, churn_total;
static int64_t churn_began;

static enum work work;
static bool stopping;
static int64_t work_began, work_ends, work_done, work_sent;
static int64_t awaited;
static double beat_rate, beats_due;
static int64_t beats_at;
static int beat_cursor;
static uint8_t *echo_frame;
static size_t echo_frame_size, echo_size;

static int64_t messages, bytes_in, pings, reads, first_message, last_message;
static int64_t watched;
static int64_t now;

struct tally {
    int code;
    int64_t count;
};

static struct tally close_codes[MAX_CODES], refusals[MAX_CODES];

static int64_t clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("{\"event\":\"error\",\"reason\":\"", stdout);
    vprintf(format, arguments);
    fputs("\"}\n", stdout);
    fflush(stdout);
    va_end(arguments);
    exit(1);
}

static void count_code(struct tally *entry, int code) {
    for (int i = 0; i < MAX_CODES; i++, entry++)
        if (entry->count == 0 || entry->code == code) {
            entry->code = code;
            entry->count++;
            return;
        }
}

static void print_codes(const char *name, const struct tally *entry) {
    printf(",\"%s\":{", name);
    for (int i = 0; i < MAX_CODES && entry->count; i++, entry++)
        printf("%s\"%d\":%" PRId64, i ? "," : "", entry->code, entry->count);
    putchar('}');
}

/* --- latency: log-linear buckets, 64 to each power of two, below 1.6 % off ------------------------- */

#define SUB 64
#define BUCKETS (SUB * 60)
static int64_t buckets[BUCKETS], recorded, latency_sum, latency_max;

static void record(int64_t ns) {
    int index, shift = 0;
    if (ns < 0) ns = 0;
    if (ns >= SUB) shift = 63 - __builtin_clzll((uint64_t)ns) - 6;
    index = (int)((ns >> shift) + (int64_t)shift * SUB);
    if (index >= BUCKETS) index = BUCKETS - 1;
    buckets[index]++;
    recorded++;
    latency_sum += ns;
    if (ns > latency_max) latency_max = ns;
}

static double quantile(double q) {
    int64_t rank = (int64_t)(q * (double)recorded), seen = 0;
    for (int i = 0; i < BUCKETS; i++) {
        seen += buckets[i];
        if (seen > rank) {
            int shift = i < 2 * SUB ? 0 : i / SUB - 1;
            double low = (double)((int64_t)(i - shift * SUB) << shift);
            return (low + (double)((INT64_C(1) << shift) - 1) / 2) / 1e3;
        }
    }
    return (double)latency_max / 1e3;
}

static void print_latency(void) {
    if (!recorded) return;
    printf(",\"latency_us\":{\"count\":%" PRId64 ",\"mean\":%.1f,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,"
           "\"p999\":%.1f,\"max\":%.1f}", recorded, (double)latency_sum / (double)recorded / 1e3,
           quantile(0.5), quantile(0.9), quantile(0.99), quantile(0.999), (double)latency_max / 1e3);
}

static void forget_latency(void) {
    memset(buckets, 0, sizeof buckets);
    recorded = latency_sum = latency_max = 0;
}

/* --- frames -------------------------------------------------------------------------------------- */

/* Writes a masked frame; `to` needs 14 bytes more than the payload. Returns its size. */
static size_t make_frame(uint8_t *to, int opcode, const uint8_t *payload, size_t size) {
    size_t at = 0;
    to[at++] = (uint8_t)(0x80 | opcode);
    if (size < 126) {
        to[at++] = (uint8_t)(0x80 | size);
    } else if (size < 65536) {
        to[at++] = 0x80 | 126;
        to[at++] = (uint8_t)(size >> 8);
        to[at++] = (uint8_t)size;
    } else {
        to[at++] = 0x80 | 127;
        for (int shift = 56; shift >= 0; shift -= 8) to[at++] = (uint8_t)((uint64_t)size >> shift);
    }
    memcpy(to + at, MASK, 4);
    at += 4;
    for (size_t i = 0; i < size; i++) to[at + i] = payload[i] ^ MASK[i & 3];
    return at + size;
}

static void append_frame(uint8_t **to, size_t *to_size, int opcode, const uint8_t *payload, size_t size) {
    *to = realloc(*to, *to_size + size + 14);
    if (!*to) die("no memory");
    *to_size += make_frame(*to + *to_size, opcode, payload, size);
}

/* --- connections --------------------------------------------------------------------------------- */

static void watch_fd(struct connection *c, int operation, bool writable) {
    struct epoll_event event = {.events = EPOLLIN | (writable ? EPOLLOUT : 0), .data.ptr = c};
    if (epoll_ctl(epoll_fd, operation, c->fd, &event) < 0) die("epoll_ctl: %s", strerror(errno));
    c->writing = writable;
}

static void give_back(struct connection *c, bool reset) {
    if (reset) {
        struct linger linger = {1, 0};
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    }
    close(c->fd);
    free(c->part);
    free(c->out);
    if (c->waiting) awaited--;
    memset(c, 0, sizeof *c);
    c->fd = -1;
    idle_slots[idle_count++] = (int)(c - connections);
}

/* The attempt came to nothing: `code` is the HTTP status, or minus an errno. */
static void attempt_failed(struct connection *c, int code) {
    count_code(refusals, code);
    in_flight--;
    give_back(c, true);
    if (retries_left) {
        retries_left--;
        retries++;
        churn_left += churn_total != 0;
    } else {
        given_up++;
    }
}

static void connection_lost(struct connection *c, int code) {
    switch (c->state) {
    case OPEN:
        open_count--;
        lost++;
        count_code(close_codes, code);
        give_back(c, false);
        break;
    case LEAVING:
        in_flight--;
        churn_done++;
        give_back(c, true);
        break;
    default:
        attempt_failed(c, code);
    }
}

/* False if the connection is gone. */
static bool transmit(struct connection *c, const uint8_t *data, size_t size) {
    ssize_t sent = 0;
    if (!c->out) {
        sent = send(c->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent == (ssize_t)size) return true;
        if (sent < 0) {
            if (errno != EAGAIN) {
                connection_lost(c, -errno);
                return false;
            }
            sent = 0;
        }
    }
    c->out = realloc(c->out, c->out_size + size - (size_t)sent);
    if (!c->out) die("no memory");
    memcpy(c->out + c->out_size, data + sent, size - (size_t)sent);
    c->out_size += (uint32_t)(size - (size_t)sent);
    if (!c->writing) watch_fd(c, EPOLL_CTL_MOD, true);
    return true;
}

static bool flush_out(struct connection *c) {
    if (c->out) {
        ssize_t sent = send(c->fd, c->out, c->out_size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN) {
            connection_lost(c, -errno);
            return false;
        }
        if (sent > 0) {
            c->out_size -= (uint32_t)sent;
            memmove(c->out, c->out + sent, c->out_size);
        }
        if (c->out_size) return true;
        free(c->out);
        c->out = NULL;
    }
    watch_fd(c, EPOLL_CTL_MOD, false);
    return true;
}

static size_t make_request(char *to, size_t room) {
    char token[4300];
    memcpy(to, request_head, request_head_size);
    to += request_head_size;
    room -= request_head_size;
    token[0] = 0;
    if (tokens) {
        if (!fgets(token, sizeof token, tokens)) {
            rewind(tokens);
            if (!fgets(token, sizeof token, tokens)) die("the file of tokens is empty");
        }
        token[strcspn(token, "\r\n")] = 0;
    }
    return request_head_size + (size_t)(token[0] ? snprintf(to, room, "Authorization: Bearer %s\r\n\r\n", token)
                                                : snprintf(to, room, "\r\n"));
}

static void ask_upgrade(struct connection *c) {
    static char request[8192];
    size_t size = make_request(request, sizeof request);
    c->state = UPGRADING;
    transmit(c, (uint8_t *)request, size);
}

/* Binds to the next free port of the next source address. */
static void bind_source(int fd) {
    struct sockaddr_in source = {.sin_family = AF_INET};
    int one = 1;
    /* A port stays in TIME_WAIT for a minute after a connection from it, to whatever server it was. */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    for (int tries = 0; tries < PORTS; tries++) {
        uint64_t turn = next_source++;
        source.sin_addr.s_addr = htonl(source_first + (uint32_t)(turn % (uint64_t)source_count));
        source.sin_port = htons((uint16_t)(FIRST_PORT + turn / (uint64_t)source_count % PORTS));
        if (!bind(fd, (struct sockaddr *)&source, sizeof source)) return;
        if (errno != EADDRINUSE) break;
    }
    die("bind: %s", strerror(errno));
}

static void start(void) {
    struct connection *c;
    int one = 1;
    if (!idle_count) die("too many connections");
    c = &connections[idle_slots[--idle_count]];
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) die("socket: %s", strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    bind_source(c->fd);
    c->since = now;
    c->state = CONNECTING;
    in_flight++;
    if (connect(c->fd, (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS) {
        attempt_failed(c, -errno);
        return;
    }
    watch_fd(c, EPOLL_CTL_ADD, true);
}

/* The connection does what all do now. */
static void set_to_work(struct connection *c) {
    c->since = clock_ns();
    c->waiting = true;
    awaited++;
    work_sent++;
    if (work == ECHO)
        transmit(c, echo_frame, echo_frame_size);
    else
        transmit(c, beat, beat_size);
}

static void answered(struct connection *c) {
    int64_t at = clock_ns();
    c->waiting = false;
    awaited--;
    if (!stopping && at < work_ends) {
        record(at - c->since);
        work_done++;
        set_to_work(c);
    }
}

static void established(struct connection *c) {
    uint8_t frame[16];
    in_flight--;
    opened_total++;
    if (churn_total) {
        if (opened_total % 2) {
            uint8_t code[2] = {1000 >> 8, 1000 & 255};
            in_flight++;
            c->state = LEAVING;
            transmit(c, frame, make_frame(frame, CLOSE, code, 2));
        } else {
            churn_done++;
            give_back(c, true);
        }
        return;
    }
    c->state = OPEN;
    c->since = 0;
    open_count++;
}

/* The following return false if the connection is gone. */

static bool take_message(struct connection *c, uint64_t size) {
    if (c->state == GREETING) {
        c->greeted++;
        if (c->greeted == greetings && hello_size && !transmit(c, hello, hello_size)) return false;
        if (c->greeted == greetings + answers) established(c);
        return c->state != FREE;
    }
    if (c->state != OPEN) return true;
    if (!messages++) first_message = clock_ns();
    bytes_in += (int64_t)size;
    if (work == ECHO && c->waiting && size == echo_size) answered(c);
    return c->state != FREE;
}

static bool take_control(struct connection *c, int opcode, const uint8_t *payload, size_t size) {
    uint8_t frame[14 + 125];
    if (opcode == PING) {
        pings++;
        return transmit(c, frame, make_frame(frame, PONG, payload, size));
    }
    if (opcode == PONG) {
        if (work == BEAT && c->waiting) answered(c);
        return c->state != FREE;
    }
    connection_lost(c, opcode == CLOSE && size >= 2 ? payload[0] << 8 | payload[1] : opcode == CLOSE ? 1005 : 1002);
    return false;
}

/* Returns how many bytes were used up, or -1 if the connection is gone. */
static ssize_t take_upgrade(struct connection *c, uint8_t *data, size_t size) {
    uint8_t *end = memmem(data, size, "\r\n\r\n", 4);
    if (!end) return 0;
    if (size < 12 || memcmp(data, "HTTP/1.1 101", 12) || !memmem(data, (size_t)(end - data), ACCEPT, 28)) {
        connection_lost(c, size >= 12 ? atoi((char *)data + 9) : -EPROTO);
        return -1;
    }
    c->state = GREETING;
    if (!greetings && hello_size && !transmit(c, hello, hello_size)) return -1;
    if (greetings + answers == 0) established(c);
    return c->state == FREE ? -1 : end + 4 - data;
}

static ssize_t take_frame(struct connection *c, uint8_t *data, size_t size) {
    size_t header = 2;
    uint64_t length;
    int opcode;
    if (c->skip) {
        size_t taken = size < c->skip ? size : (size_t)c->skip;
        c->skip -= taken;
        if (!c->skip && !take_message(c, c->size)) return -1;
        return (ssize_t)taken;
    }
    if (size < 2) return 0;
    length = data[1] & 0x7f;
    opcode = data[0] & 0x0f;
    if (length == 126) header = 4;
    if (length == 127) header = 10;
    if (size < header) return 0;
    if (header == 4) length = (uint64_t)data[2] << 8 | data[3];
    if (header == 10) {
        length = 0;
        for (int i = 2; i < 10; i++) length = length << 8 | data[i];
    }
    if (data[1] & 0x80 || !(data[0] & 0x80) || (opcode & 8 && length > 125)) {
        connection_lost(c, 1002);
        return -1;
    }
    if (opcode & 8) {
        if (size < header + length) return 0;
        return take_control(c, opcode, data + header, (size_t)length) ? (ssize_t)(header + length) : -1;
    }
    if (size - header >= length)
        return take_message(c, length) ? (ssize_t)(header + length) : -1;
    c->size = length;
    c->skip = length - (size - header);
    return (ssize_t)size;
}

static void readable(struct connection *c) {
    uint8_t *at = buffer;
    ssize_t got, used;
    size_t size = c->part_size;
    if (size) memcpy(buffer, c->part, size);
    got = recv(c->fd, buffer + size, BUFFER, MSG_DONTWAIT);
    if (got <= 0) {
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
        connection_lost(c, got ? -errno : 1006);
        return;
    }
    reads++;
    size += (size_t)got;
    c->part_size = 0;
    do {
        used = c->state == UPGRADING ? take_upgrade(c, at, size) : take_frame(c, at, size);
        if (used < 0) return;
        at += used;
        size -= (size_t)used;
    } while (size && used);
    if (size) {
        if (size > PART_MAX) {
            connection_lost(c, -EMSGSIZE);
            return;
        }
        c->part = realloc(c->part, size);
        if (!c->part) die("no memory");
        memcpy(c->part, at, size);
        c->part_size = (uint16_t)size;
    } else if (c->part) {
        free(c->part);
        c->part = NULL;
    }
}

static void writable(struct connection *c) {
    if (c->state == CONNECTING) {
        int error = 0;
        socklen_t length = sizeof error;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length);
        if (error) {
            attempt_failed(c, -error);
            return;
        }
        watch_fd(c, EPOLL_CTL_MOD, false);
        ask_upgrade(c);
    } else {
        flush_out(c);
    }
}

/* --- commands ------------------------------------------------------------------------------------ */

static void begin_event(const char *name) {
    printf("{\"event\":\"%s\",\"at_ns\":%" PRId64, name, clock_ns());
}

static void end_event(void) {
    puts("}");
    fflush(stdout);
}

static void print_state(void) {
    printf(",\"open\":%d,\"lost\":%" PRId64 ",\"retries\":%" PRId64, open_count, lost, retries);
    print_codes("codes", close_codes);
    print_codes("refusals", refusals);
}

static int64_t data_segments(void) {
    int64_t sum = 0;
    for (int i = 0; i < capacity; i++)
        if (connections[i].state == OPEN) {
            struct tcp_info info = {0};
            socklen_t size = sizeof info;
            if (!getsockopt(connections[i].fd, IPPROTO_TCP, TCP_INFO, &info, &size)) sum += info.tcpi_data_segs_in;
        }
    return sum;
}

static void print_stats(void) {
    begin_event("stats");
    print_state();
    printf(",\"opened_total\":%" PRId64 ",\"messages\":%" PRId64 ",\"bytes\":%" PRId64 ",\"pings\":%" PRId64
           ",\"reads\":%" PRId64 ",\"segments\":%" PRId64 ",\"first_ns\":%" PRId64 ",\"last_ns\":%" PRId64,
           opened_total, messages, bytes_in, pings, reads, data_segments(), first_message, last_message);
    end_event();
}

static void begin_work(enum work kind, double ms) {
    forget_latency();
    work = kind;
    stopping = false;
    work_done = work_sent = 0;
    work_began = clock_ns();
    work_ends = work_began + (int64_t)(ms * 1e6);
}

static void all_to_work(void) {
    for (int i = 0; i < capacity; i++)
        if (connections[i].state == OPEN) set_to_work(&connections[i]);
}

static void obey(char *line) {
    char name[16] = "";
    double first = 0, second = 0;
    sscanf(line, "%15s %lf %lf", name, &first, &second);
    if (!strcmp(name, "open") || !strcmp(name, "churn")) {
        if (first < 0 || first > (name[0] == 'o' ? capacity : 1e9)) die("too many connections");
        forget_latency();
        given_up = 0;
        retries_left = (int64_t)first / 10 + 100;
        allowance = 0;
        allowance_at = now;
        if (name[0] == 'o') {
            want = (int)first;
            opening = true;
            open_began = now;
        } else {
            churn_total = churn_left = (int)first;
            churn_done = 0;
            churn_began = now;
        }
    } else if (!strcmp(name, "echo")) {
        uint8_t *payload;
        if (second < 1 || second > 16e6) die("the size of an echo is 1 to 16 million");
        echo_size = (size_t)second;
        payload = malloc(echo_size);
        if (!payload) die("no memory");
        for (size_t i = 0; i < echo_size; i++) payload[i] = (uint8_t)('a' + i % 26);
        free(echo_frame);
        echo_frame = NULL;
        echo_frame_size = 0;
        append_frame(&echo_frame, &echo_frame_size, binary ? BINARY : TEXT, payload, echo_size);
        free(payload);
        begin_work(ECHO, first);
        all_to_work();
    } else if (!strcmp(name, "beat")) {
        if (!beat) die("there is no beat to send");
        begin_work(BEAT, first);
        beat_rate = second;
        beats_due = 0;
        beats_at = work_began;
        if (beat_rate <= 0) all_to_work();
    } else if (!strcmp(name, "mark")) {
        messages = bytes_in = pings = reads = first_message = last_message = 0;
        begin_event("marked");
        end_event();
    } else if (!strcmp(name, "watch")) {
        watched = (int64_t)first;
    } else if (!strcmp(name, "stats")) {
        print_stats();
    } else if (!strcmp(name, "drop")) {
        for (int i = 0; i < capacity; i++)
            if (connections[i].state != FREE) give_back(&connections[i], true);
        want = open_count = in_flight = 0;
        begin_event("dropped");
        end_event();
    } else if (!strcmp(name, "quit")) {
        exit(0);
    } else {
        die("no such command: %s", name);
    }
}

static void read_commands(void) {
    static char line[256];
    static size_t size;
    ssize_t got = read(0, line + size, sizeof line - 1 - size);
    char *end;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) exit(0);
    size += (size_t)got;
    line[size] = 0;
    while ((end = strchr(line, '\n'))) {
        *end = 0;
        obey(line);
        size -= (size_t)(end + 1 - line);
        memmove(line, end + 1, size + 1);
    }
    if (size == sizeof line - 1) die("too long a command");
}

/* --- what is due --------------------------------------------------------------------------------- */

static void open_more(void) {
    int room = in_flight_max - in_flight;
    int missing = churn_total ? churn_left : opening ? want - open_count - in_flight - given_up : 0;
    if (missing <= 0) return;
    if (open_rate > 0) {
        allowance += (double)(now - allowance_at) / 1e9 * open_rate;
        allowance_at = now;
        if (allowance > in_flight_max) allowance = in_flight_max;
        if (room > allowance) room = (int)allowance;
    }
    for (; room > 0 && missing > 0; room--, missing--) {
        if (open_rate > 0) allowance -= 1;
        if (churn_total) churn_left--;
        start();
    }
}

static void beat_more(void) {
    beats_due += (double)(now - beats_at) / 1e9 * beat_rate;
    beats_at = now;
    for (int looked = 0; beats_due >= 1 && looked < capacity;) {
        struct connection *c = &connections[beat_cursor++ % capacity];
        beat_cursor %= capacity;
        if (c->state != OPEN) {
            looked++;
            continue;
        }
        looked = 0;
        beats_due -= 1;
        work_sent++;
        work_done++;
        transmit(c, beat, lone_beat_size);
    }
}

static void report(void) {
    if (opening && open_count + given_up >= want && !in_flight) {
        opening = false;
        begin_event("opened");
        printf(",\"seconds\":%.6f,\"given_up\":%d", (double)(clock_ns() - open_began) / 1e9, given_up);
        print_state();
        end_event();
    }
    if (churn_total && churn_done + given_up >= churn_total) {
        begin_event("churned");
        printf(",\"connections\":%d,\"seconds\":%.6f,\"given_up\":%d", churn_done,
               (double)(clock_ns() - churn_began) / 1e9, given_up);
        print_state();
        end_event();
        churn_total = 0;
    }
    if (watched && messages >= watched) {
        watched = 0;
        begin_event("reached");
        printf(",\"messages\":%" PRId64 ",\"first_ns\":%" PRId64 ",\"last_ns\":%" PRId64, messages, first_message,
               last_message);
        end_event();
    }
    if (work != HOLD && now >= work_ends && (awaited == 0 || now >= work_ends + 5 * SECOND)) {
        begin_event(work == ECHO ? "echoed" : "beaten");
        printf(",\"done\":%" PRId64 ",\"sent\":%" PRId64 ",\"unanswered\":%" PRId64 ",\"seconds\":%.6f", work_done,
               work_sent, awaited, (double)(work_ends - work_began) / 1e9);
        print_latency();
        print_state();
        end_event();
        work = HOLD;
    }
}

static void give_up_slow_ones(void) {
    static int64_t looked;
    if (now - looked < SECOND || !in_flight) return;
    looked = now;
    for (int i = 0; i < capacity; i++) {
        struct connection *c = &connections[i];
        if (c->state != FREE && c->state != OPEN && now - c->since > (int64_t)(patience * 1e9))
            connection_lost(c, -ETIMEDOUT);
    }
}

static void run(void) {
    struct epoll_event events[EVENTS], commands = {.events = EPOLLIN, .data.ptr = NULL};
    int64_t end;
    now = clock_ns();
    end = now + (int64_t)(life * 1e9);
    fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_NONBLOCK);
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, 0, &commands) < 0) die("standard input: %s", strerror(errno));
    begin_event("ready");
    end_event();
    while (now < end) {
        bool paced = (work == BEAT && beat_rate > 0) || (open_rate > 0 && (opening || churn_total));
        int count = epoll_wait(epoll_fd, events, EVENTS, paced ? 1 : work != HOLD ? 10 : 100);
        int64_t before = messages;
        now = clock_ns();
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c) {
                read_commands();
                continue;
            }
            if (c->state != FREE && events[i].events & EPOLLOUT) writable(c);
            if (c->state != FREE && c->state != CONNECTING && events[i].events & ~(uint32_t)EPOLLOUT) readable(c);
            else if (c->state == CONNECTING && events[i].events & (EPOLLERR | EPOLLHUP)) writable(c);
        }
        now = clock_ns();
        if (messages != before) last_message = now;
        stopping = work != HOLD && now >= work_ends;
        if (work == BEAT && beat_rate > 0 && !stopping) beat_more();
        open_more();
        give_up_slow_ones();
        report();
    }
    die("the time is over");
}

/* --- start --------------------------------------------------------------------------------------- */

static uint32_t loopback(const char *text) {
    struct in_addr address;
    if (inet_pton(AF_INET, text, &address) != 1 || ntohl(address.s_addr) >> 24 != 127)
        die("%s is not a loopback address", text);
    return ntohl(address.s_addr);
}

static size_t unhex(const char *text, uint8_t **to) {
    size_t size = strlen(text) / 2;
    *to = malloc(size + 1);
    if (!*to) die("no memory");
    for (size_t i = 0; i < size; i++)
        if (sscanf(text + 2 * i, "%2hhx", *to + i) != 1) die("not hexadecimal: %s", text);
    return size;
}

static void add_hello(const char *hex) {
    uint8_t *payload;
    size_t size = unhex(hex, &payload);
    append_frame(&hello, &hello_size, binary ? BINARY : TEXT, payload, size);
    free(payload);
}

static void set_beat(const char *hex) {
    static const uint8_t stamp[4] = {'b', 'e', 'a', 't'};
    uint8_t *payload;
    size_t size = unhex(hex, &payload);
    append_frame(&beat, &beat_size, binary ? BINARY : TEXT, payload, size);
    lone_beat_size = beat_size;
    append_frame(&beat, &beat_size, PING, stamp, sizeof stamp);
    free(payload);
}

int main(int argc, char **argv) {
    static const struct option options[] = {
        {"host", 1, 0, 'h'}, {"port", 1, 0, 'p'}, {"path", 1, 0, 'P'}, {"source", 1, 0, 's'},
        {"sources", 1, 0, 'S'}, {"connections", 1, 0, 'n'}, {"in-flight", 1, 0, 'f'}, {"rate", 1, 0, 'r'},
        {"tokens", 1, 0, 't'}, {"subprotocol", 1, 0, 'u'}, {"binary", 0, 0, 'b'}, {"greetings", 1, 0, 'g'},
        {"answers", 1, 0, 'a'}, {"hello", 1, 0, 'H'}, {"beat", 1, 0, 'B'}, {"patience", 1, 0, 'w'},
        {"seconds", 1, 0, 'l'}, {0},
    };
    struct rlimit files;
    int option;
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    source_first = INADDR_LOOPBACK + 1;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'h': server.sin_addr.s_addr = htonl(loopback(optarg)); break;
        case 'p': server.sin_port = htons((uint16_t)atoi(optarg)); break;
        case 'P': path = optarg; break;
        case 's': source_first = loopback(optarg); break;
        case 'S': source_count = atoi(optarg); break;
        case 'n': capacity = atoi(optarg); break;
        case 'f': in_flight_max = atoi(optarg); break;
        case 'r': open_rate = atof(optarg); break;
        case 't': token_path = optarg; break;
        case 'u': subprotocol = optarg; break;
        case 'b': binary = true; break;
        case 'g': greetings = atoi(optarg); break;
        case 'a': answers = atoi(optarg); break;
        case 'H': add_hello(optarg); break;
        case 'B': set_beat(optarg); break;
        case 'w': patience = atof(optarg); break;
        case 'l': life = atof(optarg); break;
        default: die("see the top of load.c");
        }
    }
    if (optind != argc || !server.sin_port || capacity < 1 || source_count < 1 || in_flight_max < 1)
        die("see the top of load.c");
    if (in_flight_max > capacity) in_flight_max = capacity;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_max < (rlim_t)capacity + 16) die("only %lu files may be open", (unsigned long)files.rlim_max);
    if (token_path && !(tokens = fopen(token_path, "r"))) die("%s: %s", token_path, strerror(errno));
    request_head_size = (size_t)snprintf(
        request_head, sizeof request_head,
        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " KEY "\r\n%s%s%s",
        path, ntohs(server.sin_port), subprotocol ? "Sec-WebSocket-Protocol: " : "", subprotocol ? subprotocol : "",
        subprotocol ? "\r\n" : "");
    if (request_head_size >= sizeof request_head) die("too long a request");
    connections = calloc((size_t)capacity, sizeof *connections);
    idle_slots = calloc((size_t)capacity, sizeof *idle_slots);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!connections || !idle_slots || epoll_fd < 0) die("no memory");
    for (int i = capacity - 1; i >= 0; i--) {
        connections[i].fd = -1;
        idle_slots[idle_count++] = i;
    }
    run();
}
