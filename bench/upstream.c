// The upstream of the benchmarks: speaks Anthropic's Messages format as fast as one thread can (Linux: epoll).
//
//   cc -O2 -o upstream upstream.c && ./upstream PORT
//
//   POST .../messages       a JSON message, or with "stream":true server-sent events: max_tokens deltas of text
//   POST /model/ID/invoke, /model/ID/invoke-with-response-stream
//                           the same as Bedrock answers it: JSON, or AWS's event stream. No signature is checked
//   GET or HEAD of anything 200 with no body
//
// max_tokens carries the number of deltas since every gateway hands it on, up to what the model may write: N is N
// deltas without a pause, G*10000+N is N deltas 10^G microseconds apart. Each event is one HTTP chunk and one write(),
// as in the real API. Deltas without a pause take the kernel 1 or 6 us each, as it happens to join the writes: two runs
// of the same stream can differ by five, so a ratio needs a gap longer than that.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_PACED = 1024, READ_SIZE = 65536 };
static const double SLEEPABLE = 1e-4; // seconds; shorter gaps are spun away

typedef struct {
  int fd;
  char *in, *out;                         // what arrived and is not answered; what is not written yet
  size_t in_len, in_cap, out_len, out_pos, out_cap;
  int streaming, deltas, step;            // the stream under way and its next event
  int framed;                             // 1: as AWS's event stream
  double gap, due;                        // seconds between deltas, and when the next one may go
  int paced;                              // 1 while it stands in paced[]
} Connection;

static Connection *paced[MAX_PACED];      // streams that wait for their next delta's time
static int paced_count, epoll;

static const char *HEADERS =
    "request-id: req_011BENCH0000000000000001\r\n"
    "anthropic-organization-id: 00000000-0000-4000-8000-000000000001\r\n"
    "anthropic-ratelimit-unified-status: allowed\r\n"
    "anthropic-ratelimit-unified-5h-utilization: 0.25\r\n"
    "anthropic-ratelimit-unified-5h-reset: 1900000000\r\n"
    "anthropic-ratelimit-unified-7d-utilization: 0.10\r\n"
    "anthropic-ratelimit-unified-representative-claim: five_hour\r\n";

#define MESSAGE(content, stop, tokens)                                                                  \
  "{\"model\":\"claude-sonnet-4-5-20250929\",\"id\":\"msg_01BENCH\",\"type\":\"message\","              \
  "\"role\":\"assistant\",\"content\":[" content "],\"stop_reason\":" stop ",\"stop_sequence\":null,"   \
  "\"usage\":{\"input_tokens\":12,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,"     \
  "\"output_tokens\":" tokens ",\"service_tier\":\"standard\"}}"

static const char *ANSWER =
    MESSAGE("{\"type\":\"text\",\"text\":\"Hello from the upstream of the benchmarks.\"}", "\"end_turn\"", "8");
static const char *FIRST_EVENTS[] = {
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":" MESSAGE("", "null", "1") "}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
    "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    "event: ping\ndata: {\"type\": \"ping\"}\n\n",
};
enum { FIRST = 3 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void *grown(void *memory, size_t size) {
  memory = realloc(memory, size);
  if (!memory) abort();
  return memory;
}

static void put(Connection *c, const char *data, size_t size) {
  if (c->out_len + size > c->out_cap) {
    c->out_cap = (c->out_len + size) * 2;
    c->out = grown(c->out, c->out_cap);
  }
  memcpy(c->out + c->out_len, data, size);
  c->out_len += size;
}

static void put_answer(Connection *c, const char *type, const char *body) {
  char head[1024];
  int size = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\ncontent-type: %s\r\n%scontent-length: %zu\r\n\r\n",
                      type, HEADERS, strlen(body));
  put(c, head, size);
  put(c, body, strlen(body));
}

static void put_chunk(Connection *c, const char *event) {
  char size[16];
  put(c, size, snprintf(size, sizeof size, "%zx\r\n", strlen(event)));
  put(c, event, strlen(event));
  put(c, "\r\n", 2);
}

static unsigned crc_of[256];

static void make_crc_table(void) {
  for (unsigned i = 0; i < 256; i++) {
    unsigned crc = i;
    for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ 0xEDB88320u : crc >> 1;
    crc_of[i] = crc;
  }
}

static void put_number(unsigned char *at, unsigned value) {
  for (int i = 0; i < 4; i++) at[i] = value >> (24 - 8 * i);
}

static unsigned crc32_of(const unsigned char *data, size_t size) {
  unsigned crc = ~0u;
  while (size--) crc = crc >> 8 ^ crc_of[(crc ^ *data++) & 255];
  return ~crc;
}

// an event's data in a message of AWS's event stream: in base64, in JSON, between lengths and checksums
static void put_frame(Connection *c, const char *event) {
  static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  static const char FRAME_HEADERS[] = "\x0b:event-type\x07\0\x05" "chunk\x0d:content-type\x07\0\x10" "application/json"
                                      "\x0d:message-type\x07\0\x05" "event";
  static unsigned char frame[2048];
  const unsigned char *data = (const unsigned char *)strstr(event, "\ndata: ") + 7;
  size_t headers = sizeof FRAME_HEADERS - 1, size = strlen((const char *)data) - 2, at = 12 + headers;
  memcpy(frame + 12, FRAME_HEADERS, headers);
  at += sprintf((char *)frame + at, "{\"bytes\":\"");
  for (size_t i = 0; i < size; i += 3) {
    unsigned three = data[i] << 16 | (i + 1 < size ? data[i + 1] << 8 : 0) | (i + 2 < size ? data[i + 2] : 0);
    for (size_t digit = 0; digit < 4; digit++)
      frame[at++] = i + digit > size ? '=' : DIGITS[three >> (18 - 6 * digit) & 63];
  }
  at += sprintf((char *)frame + at, "\",\"p\":\"abcdefghij\"}");
  put_number(frame, at + 4);
  put_number(frame + 4, headers);
  put_number(frame + 8, crc32_of(frame, 8));
  put_number(frame + at, crc32_of(frame, at));
  char length[16];
  put(c, length, snprintf(length, sizeof length, "%zx\r\n", at + 4));
  put(c, (char *)frame, at + 4);
  put(c, "\r\n", 2);
}

static void put_event(Connection *c, const char *event) {
  if (!c->framed)
    put_chunk(c, event);
  else if (!strstr(event, "event: ping"))
    put_frame(c, event);
}

static void put_next_event(Connection *c) {
  char event[400];
  int step = c->step++, after = step - FIRST - c->deltas;
  if (step < FIRST) {
    put_event(c, FIRST_EVENTS[step]);
  } else if (after < 0) {
    snprintf(event, sizeof event,
             "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
             "\"delta\":{\"type\":\"text_delta\",\"text\":\" word%d\"}}\n\n", step - FIRST);
    put_event(c, event);
  } else if (after == 0) {
    put_event(c, "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n");
  } else if (after == 1) {
    snprintf(event, sizeof event,
             "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\","
             "\"stop_sequence\":null},\"usage\":{\"output_tokens\":%d}}\n\n", c->deltas);
    put_event(c, event);
  } else if (after == 2) {
    put_event(c, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
  } else {
    put(c, "0\r\n\r\n", 5);
    c->streaming = 0;
  }
}

static void unpace(Connection *c) {
  for (int i = 0; i < paced_count; i++)
    if (paced[i] == c) paced[i--] = paced[--paced_count];
  c->paced = 0;
}

static void watch(Connection *c, int writable) {
  struct epoll_event e = {.events = EPOLLIN | (writable ? EPOLLOUT : 0), .data.ptr = c};
  epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &e);
}

typedef enum { GONE = -1, WRITTEN, WAITING } Pumped;

// writes the answer, event by event, until it is out, the socket is full or the next delta is not due
static Pumped pump(Connection *c) {
  for (;;) {
    while (c->out_pos < c->out_len) {
      ssize_t n = write(c->fd, c->out + c->out_pos, c->out_len - c->out_pos);
      if (n < 0 && errno == EAGAIN) {
        watch(c, 1);
        return WAITING;
      }
      if (n < 0) return GONE;
      c->out_pos += n;
    }
    c->out_pos = c->out_len = 0;
    if (!c->streaming) return WRITTEN;
    if (c->gap > 0 && c->step > FIRST && c->step < FIRST + c->deltas) {
      double t = now();
      if (c->due == 0) c->due = t + c->gap;
      if (c->gap < SLEEPABLE) {
        while (now() < c->due) continue;
      } else if (t < c->due && (c->paced || paced_count < MAX_PACED)) {
        if (!c->paced) paced[paced_count++] = c;
        c->paced = 1;
        return WAITING;
      }
      c->due += c->gap;
    }
    put_next_event(c);
  }
}

// the number after "key": in a JSON text, or 1 for true, or 0
static long field(const char *text, size_t size, const char *key) {
  const char *p = memmem(text, size, key, strlen(key));
  if (!p) return 0;
  p += strlen(key);
  while (*p == ' ' || *p == ':') p++;
  return *p == 't' ? 1 : strtol(p, NULL, 10);
}

static void answer(Connection *c, const char *head, size_t line, const char *body, size_t size) {
  int bedrock = memmem(head, line, "/invoke", 7) != NULL;
  c->framed = memmem(head, line, "/invoke-with", 12) != NULL;
  if (strncmp(head, "POST", 4) || !(bedrock || memmem(head, line, "/messages", 9))) {
    put_answer(c, "text/plain", "");
  } else if (bedrock ? !c->framed : !field(body, size, "\"stream\"")) {
    put_answer(c, "application/json", ANSWER);
  } else {
    long wanted = field(body, size, "\"max_tokens\"");
    char start[1024];
    put(c, start, snprintf(start, sizeof start,
                           "HTTP/1.1 200 OK\r\ncontent-type: %s\r\n"
                           "cache-control: no-cache\r\n%stransfer-encoding: chunked\r\n\r\n",
                           c->framed ? "application/vnd.amazon.eventstream" : "text/event-stream; charset=utf-8",
                           HEADERS));
    c->deltas = wanted % 10000;
    c->gap = 0;
    for (long power = wanted / 10000; power > 0; power--) c->gap = (c->gap ? c->gap : 1e-6) * 10;
    c->due = c->step = 0;
    c->streaming = 1;
  }
}

// answers each request that is complete, one after the other
static Pumped serve(Connection *c) {
  while (!c->streaming && !c->out_len) {
    char *blank = memmem(c->in, c->in_len, "\r\n\r\n", 4);
    if (!blank) return WAITING;
    size_t head = blank - c->in + 4, body = 0;
    int chunked = 0;
    for (char *p = memchr(c->in, '\n', head); p && p < blank; p = memchr(p, '\n', c->in + head - p)) {
      p++;
      if (!strncasecmp(p, "content-length:", 15)) body = strtoul(p + 15, NULL, 10);
      if (!strncasecmp(p, "transfer-encoding:", 18)) chunked = 1;
    }
    if (chunked) {
      char *end = memmem(c->in + head, c->in_len - head, "0\r\n\r\n", 5);
      if (!end) return WAITING;
      body = end + 5 - (c->in + head);
    }
    if (c->in_len < head + body) return WAITING;
    answer(c, c->in, (char *)memchr(c->in, '\n', head) - c->in, c->in + head, body);
    c->in_len -= head + body;
    memmove(c->in, c->in + head + body, c->in_len);
    c->in[c->in_len] = 0;
    Pumped pumped = pump(c);
    if (pumped != WRITTEN) return pumped;
  }
  return WAITING;
}

static Pumped receive(Connection *c) {
  for (;;) {
    if (c->in_len + READ_SIZE > c->in_cap) {
      c->in_cap = (c->in_len + READ_SIZE) * 2;
      c->in = grown(c->in, c->in_cap);
    }
    ssize_t n = read(c->fd, c->in + c->in_len, c->in_cap - c->in_len - 1);
    if (n < 0 && errno == EAGAIN) return serve(c);
    if (n <= 0) return GONE;
    c->in_len += n;
    c->in[c->in_len] = 0;
  }
}

static Pumped resume(Connection *c) {
  Pumped pumped = pump(c);
  return pumped == WRITTEN ? serve(c) : pumped;
}

static void drop(Connection *c) {
  if (c->paced) unpace(c);
  close(c->fd);
  free(c->in);
  free(c->out);
  free(c);
}

static void accept_all(int listener) {
  int fd, on = 1;
  while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    Connection *c = grown(NULL, sizeof *c);
    *c = (Connection){.fd = fd};
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e);
  }
}

static void resume_paced(void) {
  double t = now();
  for (int i = paced_count - 1; i >= 0; i--) {
    if (i >= paced_count || paced[i]->due > t) continue;
    Connection *c = paced[i];
    unpace(c);
    if (resume(c) == GONE) drop(c);
  }
}

static int wait_for_events(struct epoll_event *events, int size) {
  if (!paced_count) return epoll_wait(epoll, events, size, -1);
  double first = paced[0]->due;
  for (int i = 1; i < paced_count; i++)
    if (paced[i]->due < first) first = paced[i]->due;
  double wait = first - now();
  if (wait < 0) wait = 0;
  struct timespec t = {(time_t)wait, (long)((wait - (time_t)wait) * 1e9)};
  ppoll(&(struct pollfd){.fd = epoll, .events = POLLIN}, 1, &t, NULL); // finer than epoll_wait's milliseconds
  return epoll_wait(epoll, events, size, 0);
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: %s PORT\n", argv[0]);
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  make_crc_table();
  int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(listener, (void *)&address, sizeof address) || listen(listener, 1024)) {
    perror("upstream");
    return 1;
  }
  epoll = epoll_create1(0);
  struct epoll_event accepting = {.events = EPOLLIN, .data.ptr = NULL}, events[256];
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &accepting);
  for (;;) {
    int n = wait_for_events(events, 256);
    for (int i = 0; i < n; i++) {
      Connection *c = events[i].data.ptr;
      if (!c) {
        accept_all(listener);
        continue;
      }
      Pumped pumped = WAITING;
      if (events[i].events & EPOLLOUT) {
        watch(c, 0);
        pumped = resume(c);
      }
      if (pumped != GONE && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) pumped = receive(c);
      if (pumped == GONE) drop(c);
    }
    resume_paced();
  }
}
