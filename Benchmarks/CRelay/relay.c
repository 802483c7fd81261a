#define _GNU_SOURCE
#include "CRelay.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { batch = 32, largest = 2048, events = 64, header = 4 };

// A direction of a pair, or a client of Bindings: what it has sent, and what has come back of it.
struct flow {
  int from, to;
  uint64_t sent, received, written_off;
  double due, last;
};

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

double relay_cpu(void) {
  struct rusage use;
  getrusage(RUSAGE_SELF, &use);
  return use.ru_utime.tv_sec + use.ru_stime.tv_sec + (use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static int watch(int poll, int socket, uint32_t index) {
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
  return epoll_ctl(poll, EPOLL_CTL_ADD, socket, &event);
}

// Reads what there is; answers how many datagrams.
static int drain(int socket) {
  static uint8_t bytes[batch][largest];
  static struct iovec places[batch];
  static struct mmsghdr messages[batch];
  int total = 0, count;
  do {
    for (int i = 0; i < batch; i++) {
      places[i] = (struct iovec){bytes[i], largest};
      messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &places[i], .msg_iovlen = 1}};
    }
    count = recvmmsg(socket, messages, batch, MSG_DONTWAIT, 0);
    if (count > 0) total += count;
  } while (count == batch);
  return total;
}

// Sends up to `count` copies; answers how many went out. A send that meets an ICMP error of before is tried again.
static int repeat(int socket, uint8_t *bytes, int size, int count) {
  struct iovec place = {bytes, size};
  struct mmsghdr messages[batch];
  if (count > batch) count = batch;
  for (int i = 0; i < count; i++) messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &place, .msg_iovlen = 1}};
  int sent = sendmmsg(socket, messages, count, MSG_DONTWAIT);
  return sent > 0 ? sent : 0;
}

// How many a flow should send now.
static int wanted(struct flow *flow, struct relay_load load, double time) {
  if (load.rate > 0) {
    if (time < flow->due) return 0;
    flow->due += 1.0 / load.rate;
    return 1;
  }
  // What has not come for so long is lost: the window must not stay closed for it.
  if (time - flow->last > 0.05) flow->written_off = flow->sent - flow->received;
  int64_t under_way = (int64_t)(flow->sent - flow->received - flow->written_off);
  // Half a window at once, as a sender with several packets ready.
  return under_way <= load.window / 2 ? load.window - (under_way > 0 ? (int)under_way : 0) : 0;
}

static void collect(int poll, struct flow *flows, int milliseconds) {
  struct epoll_event ready[events];
  int count = epoll_wait(poll, ready, events, milliseconds);
  double time = now();
  for (int i = 0; i < count; i++) {
    struct flow *flow = &flows[ready[i].data.u32];
    int got = drain(flow->to);
    if (got > 0) flow->last = time;
    flow->received += got;
  }
}

static void pause_until_next(double tick) {
  struct timespec rest = {0, (long)(tick * 1e9)};
  nanosleep(&rest, 0);
}

// `write` puts what the flow sends into a buffer and answers its size.
typedef int (*writer)(void *what, int flow, uint64_t number, uint8_t *bytes);

static struct relay_count run(struct flow *flows, int count, struct relay_load load, writer write, void *what) {
  int poll = epoll_create1(0);
  uint8_t bytes[largest];
  double start = now(), end = start + load.seconds;
  for (int i = 0; i < count; i++) {
    watch(poll, flows[i].to, i);
    flows[i].due = start + (load.rate > 0 ? (double)i / count / load.rate : 0);
    flows[i].last = start;
  }
  for (double time = start; time < end; time = now()) {
    for (int i = 0; i < count; i++) {
      int some = wanted(&flows[i], load, time);
      if (some <= 0) continue;
      int size = write(what, i, flows[i].sent, bytes);
      flows[i].sent += repeat(flows[i].from, bytes, size, some);
    }
    collect(poll, flows, load.rate > 0 ? 0 : 1);
    if (load.rate > 0) pause_until_next(0.0002);
  }
  struct relay_count result = {.seconds = now() - start};
  for (double until = now() + 0.3; now() < until;) collect(poll, flows, 10);
  for (int i = 0; i < count; i++) result.sent += flows[i].sent, result.received += flows[i].received;
  close(poll);
  return result;
}

struct pump {
  const struct relay_pair *pairs;
  int size;
};

// Even flows go from a client, odd ones from its peer.
static int write_payload(void *what, int flow, uint64_t number, uint8_t *bytes) {
  struct pump *pump = what;
  int size = pump->size, offset = 0;
  if (flow % 2 == 0) {
    uint16_t channel = pump->pairs[flow / 2].channel;
    uint8_t front[header] = {channel >> 8, channel & 255, size >> 8, size & 255};
    memcpy(bytes, front, header);
    offset = header;
  }
  memset(bytes + offset, (int)(number & 255), size);
  return offset + size;
}

struct relay_count relay_pump(const struct relay_pair *pairs, int count, struct relay_load load) {
  struct flow flows[2 * count];
  memset(flows, 0, sizeof flows);
  if (load.size > largest - header) load.size = largest - header;
  for (int i = 0; i < count; i++) {
    flows[2 * i].from = pairs[i].client, flows[2 * i].to = pairs[i].peer;
    flows[2 * i + 1].from = pairs[i].peer, flows[2 * i + 1].to = pairs[i].client;
  }
  struct pump pump = {pairs, load.size};
  return run(flows, 2 * count, load, write_payload, &pump);
}

struct request {
  const uint8_t *bytes;
  int size;
};

static int write_request(void *what, int flow, uint64_t number, uint8_t *bytes) {
  struct request *request = what;
  memcpy(bytes, request->bytes, request->size);
  memcpy(bytes + 8, &number, sizeof number);
  memcpy(bytes + 16, &flow, sizeof flow);
  return request->size;
}

struct relay_count relay_bindings(const int *sockets, int count, const uint8_t *request, int size, int window, double seconds) {
  struct flow flows[count];
  memset(flows, 0, sizeof flows);
  for (int i = 0; i < count; i++) flows[i].from = flows[i].to = sockets[i];
  struct request what = {request, size < largest ? size : largest};
  return run(flows, count, (struct relay_load){.window = window, .seconds = seconds}, write_request, &what);
}
