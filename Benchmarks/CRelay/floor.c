#define _GNU_SOURCE
#include "CRelay.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { batch = 64, largest = 2048, most_pairs = 1024, header = 4, front = 0x4000, ready_at_once = 64 };

struct pair {
  int socket;
  struct sockaddr_in client;
};

static struct pair pairs[most_pairs];
static uint8_t bytes[batch][header + largest];
static struct sockaddr_in names[batch];
static struct iovec in_places[batch], out_places[batch];
static struct mmsghdr in[batch], out[batch];

static int bound(uint16_t port) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), room = 4 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  return bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ? -1 : fd;
}

static int receive(int fd) {
  for (int i = 0; i < batch; i++) {
    in_places[i] = (struct iovec){bytes[i] + header, largest};
    in[i] = (struct mmsghdr){.msg_hdr = {.msg_name = &names[i], .msg_namelen = sizeof names[i], .msg_iov = &in_places[i], .msg_iovlen = 1}};
  }
  return recvmmsg(fd, in, batch, MSG_DONTWAIT, 0);
}

static void put(int slot, void *start, size_t size, struct sockaddr_in *to) {
  out_places[slot] = (struct iovec){start, size};
  out[slot] = (struct mmsghdr){.msg_hdr = {.msg_name = to, .msg_namelen = to ? sizeof *to : 0, .msg_iov = &out_places[slot], .msg_iovlen = 1}};
}

static int is_hello(uint8_t *start, size_t size) { return size == header && start[0] >= front >> 8; }

static int pair_of(uint8_t *start, size_t size) {
  if (size < header) return -1;
  int index = (start[0] << 8 | start[1]) - front;
  return index >= 0 && index < most_pairs ? index : -1;
}

static void greet(int server, int poll, uint8_t *start, struct sockaddr_in *client) {
  int index = pair_of(start, header);
  if (index < 0 || pairs[index].socket) return;
  int fd = bound(0);
  struct sockaddr_in peer = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, own;
  memcpy(&peer.sin_port, start + 2, 2);
  if (fd < 0 || connect(fd, (struct sockaddr *)&peer, sizeof peer) < 0) return;
  pairs[index] = (struct pair){fd, *client};
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = index + 1};
  epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
  socklen_t size = sizeof own;
  getsockname(fd, (struct sockaddr *)&own, &size);
  sendto(server, &own.sin_port, 2, 0, (struct sockaddr *)client, sizeof *client);
}

// What came to the server's socket goes on in runs: those in a row for one pair leave in one call.
static void from_clients(int server, int poll) {
  int count = receive(server), waiting = 0, to = -1;
  for (int i = 0; i < count; i++) {
    uint8_t *start = bytes[i] + header;
    size_t size = in[i].msg_len;
    if (is_hello(start, size)) {
      greet(server, poll, start, &names[i]);
      continue;
    }
    int index = start[0] < front >> 8 ? most_pairs : pair_of(start, size);
    if (index < 0 || (index < most_pairs && !pairs[index].socket)) continue;
    if (waiting && index != to) sendmmsg(to == most_pairs ? server : pairs[to].socket, out, waiting, MSG_DONTWAIT), waiting = 0;
    to = index;
    if (index == most_pairs) put(waiting++, start, size, &names[i]);
    else put(waiting++, start + header, size - header, 0);
  }
  if (waiting) sendmmsg(to == most_pairs ? server : pairs[to].socket, out, waiting, MSG_DONTWAIT);
}

static void from_peer(int server, int index) {
  int count = receive(pairs[index].socket);
  for (int i = 0; i < count; i++) {
    int channel = front + index, size = (int)in[i].msg_len;
    uint8_t start[header] = {channel >> 8, channel & 255, size >> 8, size & 255};
    memcpy(bytes[i], start, header);
    put(i, bytes[i], header + size, &pairs[index].client);
  }
  if (count > 0) sendmmsg(server, out, count, MSG_DONTWAIT);
}

int relay_floor(uint16_t port) {
  int server = bound(port), poll = epoll_create1(0);
  if (server < 0) return -1;
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = 0}, ready[ready_at_once];
  epoll_ctl(poll, EPOLL_CTL_ADD, server, &event);
  for (;;) {
    int count = epoll_wait(poll, ready, ready_at_once, -1);
    for (int i = 0; i < count; i++) {
      if (ready[i].data.u32 == 0) from_clients(server, poll);
      else from_peer(server, (int)ready[i].data.u32 - 1);
    }
  }
}
