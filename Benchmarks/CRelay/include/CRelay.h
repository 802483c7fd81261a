// The load of the `turn` benchmark, and its floor: datagrams by recvmmsg and sendmmsg, without any protocol.
#ifndef CRELAY_H
#define CRELAY_H

#include <stdint.h>

// Both sockets do not block. `client` is connected to the server, where `channel` stands for the peer; `peer` is connected to the
// relayed address.
struct relay_pair {
  int client, peer;
  uint16_t channel;
};

struct relay_load {
  // Bytes of a payload.
  int size;
  // Datagrams a second in each direction of a pair; 0 keeps `window` under way instead.
  int rate, window;
  double seconds;
};

struct relay_count {
  uint64_t sent, received;
  double seconds;
};

// Sends both ways through every pair, and counts what arrives.
struct relay_count relay_pump(const struct relay_pair *pairs, int count, struct relay_load load);

// Keeps `window` requests under way on each of the connected sockets; `request` is a STUN Binding, whose transaction is changed.
struct relay_count relay_bindings(const int *sockets, int count, const uint8_t *request, int size, int window, double seconds);

// A relay that only moves datagrams, until it is killed: `hello` is 4 bytes, 0x4000 + pair and the peer's port, and is answered with
// the port of the pair's socket; a datagram with the pair in front goes on to the peer without its first 4 bytes, one from the peer
// goes to the client with 4 bytes in front, and whatever begins with a byte below 0x40 goes back. All on 127.0.0.1.
int relay_floor(uint16_t port);

// The CPU time of this process in seconds, user and system.
double relay_cpu(void);

#endif
