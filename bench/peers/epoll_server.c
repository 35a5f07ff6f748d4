/* The least a WebSocket server can be: one epoll set, one read and one send a message.
 *
 * Echoes messages up to 64 KiB, answers pings, and knows one client only: `load/load.c`, which always
 * presents the same key, so that the answer to the handshake is a constant. Commands as in `console.py`.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <signal.h>
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

#define MESSAGE_MAX 65536
#define BUFFER (MESSAGE_MAX + 64)
#define EVENTS 512
#define FILES_MAX 1048576

static const char UPGRADED[] =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

struct connection {
    bool upgraded;
    uint32_t size; /* of what came of a message that is not whole yet */
    uint8_t *part;
};

static struct connection *connections[FILES_MAX];
static uint8_t input[2 * BUFFER], output[BUFFER];
static int epoll_fd, highest;

static int64_t clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

__attribute__((noreturn)) static void die(const char *what) {
    printf("{\"event\":\"error\",\"reason\":\"%s: %s\"}\n", what, strerror(errno));
    fflush(stdout);
    exit(1);
}

static void watch(int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
}

static void drop(int fd) {
    free(connections[fd]->part);
    free(connections[fd]);
    connections[fd] = NULL;
    close(fd);
}

static size_t write_header(uint8_t *to, uint8_t first, size_t size) {
    to[0] = first;
    if (size < 126) {
        to[1] = (uint8_t)size;
        return 2;
    }
    to[1] = 126;
    to[2] = (uint8_t)(size >> 8);
    to[3] = (uint8_t)size;
    return 4;
}

/* Answers one frame; returns its size, 0 if it is not whole, -1 to drop the connection. */
static ssize_t answer(int fd, uint8_t *data, size_t size) {
    size_t header = 6, length, at;
    uint8_t *mask, opcode;
    if (size < 6) return 0;
    opcode = data[0] & 15;
    length = data[1] & 0x7f;
    if (length == 127 || !(data[1] & 0x80) || opcode == 8) return -1;
    if (length == 126) {
        length = (size_t)data[2] << 8 | data[3];
        header = 8;
    }
    if (size < header + length) return 0;
    mask = data + header - 4;
    if (opcode != 10) {
        at = write_header(output, opcode == 9 ? 0x8a : data[0], length);
        for (size_t i = 0; i < length; i++) output[at + i] = data[header + i] ^ mask[i & 3];
        if (send(fd, output, at + length, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)(at + length)) return -1;
    }
    return (ssize_t)(header + length);
}

static void serve(int fd) {
    struct connection *c = connections[fd];
    uint8_t *at = input;
    size_t size = c->size;
    ssize_t used = 1, got;
    if (size) memcpy(input, c->part, size);
    got = recv(fd, input + size, BUFFER, MSG_DONTWAIT);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN) drop(fd);
        return;
    }
    size += (size_t)got;
    if (!c->upgraded) {
        uint8_t *end = memmem(input, size, "\r\n\r\n", 4);
        used = 0;
        if (end) {
            c->upgraded = true;
            used = send(fd, UPGRADED, sizeof UPGRADED - 1, MSG_NOSIGNAL) < 0 ? -1 : end + 4 - at;
        }
    } else {
        used = answer(fd, at, size);
    }
    while (used > 0) {
        at += used;
        size -= (size_t)used;
        used = size && c->upgraded ? answer(fd, at, size) : 0;
    }
    if (used < 0 || size > BUFFER) {
        drop(fd);
        return;
    }
    free(c->part);
    c->part = NULL;
    c->size = (uint32_t)size;
    if (size) {
        c->part = malloc(size);
        if (!c->part) die("memory");
        memcpy(c->part, at, size);
    }
}

static void accept_all(int listener) {
    for (;;) {
        int one = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        connections[fd] = calloc(1, sizeof *connections[fd]);
        if (!connections[fd]) die("memory");
        if (fd > highest) highest = fd;
        watch(fd);
    }
}

static void obey(void) {
    char line[256];
    ssize_t got = read(0, line, sizeof line - 1);
    size_t size, at;
    int reached = 0;
    int64_t began;
    if (got <= 0) exit(0);
    line[got] = 0;
    if (sscanf(line, "broadcast %zu", &size) != 1 || size > MESSAGE_MAX - 1) {
        errno = EINVAL;
        die("command");
    }
    at = write_header(output, 0x81, size);
    memset(output + at, 'x', size);
    began = clock_ns();
    for (int fd = 0; fd <= highest; fd++)
        if (connections[fd] && connections[fd]->upgraded)
            reached += send(fd, output, at + size, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)(at + size);
    printf("{\"event\":\"broadcast\",\"at_ns\":%lld,\"ns\":%lld,\"reached\":%d}\n", (long long)began,
           (long long)(clock_ns() - began), reached);
    fflush(stdout);
}

int main(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event events[EVENTS];
    struct rlimit files;
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max < FILES_MAX ? files.rlim_max : FILES_MAX;
    setrlimit(RLIMIT_NOFILE, &files);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (listener < 0 || epoll_fd < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(listener, 4096) < 0 || getsockname(listener, (struct sockaddr *)&address, &length) < 0)
        die("listen");
    watch(listener);
    watch(0);
    printf("{\"event\":\"listening\",\"port\":%d}\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(epoll_fd, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) accept_all(listener);
            else if (fd == 0) obey();
            else serve(fd);
        }
    }
}
