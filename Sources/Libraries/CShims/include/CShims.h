#pragma once
// What Swift cannot import or should not spell out: socket set-up in one call, and batches of socket writes.
// Every function answers a negative errno on failure.
#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

// A listening TCP socket, non-blocking, close-on-exec, SO_REUSEADDR and SO_REUSEPORT; IPv6 takes IPv4 too.
int martlet_tcp_listen(const struct sockaddr *address, socklen_t length, int backlog);
// Whether nobody else listens there: with SO_REUSEPORT two servers of one user would share the connections. 0, or -errno.
int martlet_tcp_probe(const struct sockaddr *address, socklen_t length);

// Starts a non-blocking connect; the descriptor becomes writable when it is decided.
int martlet_tcp_connect(const struct sockaddr *address, socklen_t length);
// The same from an address of this machine, where a listener of martlet_tcp_listen may be too.
int martlet_tcp_connect_from(const struct sockaddr *local, socklen_t local_length, const struct sockaddr *address, socklen_t length);

// Accepts one connection, non-blocking and close-on-exec, with TCP_NODELAY set.
int martlet_tcp_accept(int listener, struct sockaddr_storage *peer);

// Bounds what the kernel hides: send buffer and unsent bytes, both in bytes.
void martlet_tcp_bound_output(int fd, int send_buffer, int unsent_low_water);

// The pending error of a socket (SO_ERROR), as a positive errno or 0.
int martlet_socket_error(int fd);

// The local (peer = 0) or remote address of a socket.
int martlet_socket_name(int fd, int peer, struct sockaddr_storage *name);

// One vectored write that never blocks and never raises SIGPIPE.
long martlet_send(int fd, const struct iovec *parts, int count);

// Names the calling thread for debuggers and /proc; at most 15 bytes count.
void martlet_name_thread(const char *name);

// Opens a file below a folder, never through a symbolic link and never outside it, whatever `path` says (openat2 with
// RESOLVE_BENEATH, or step by step where the kernel or a sandbox has none). `path` is relative and not empty.
int martlet_open_beneath(int folder, const char *path, int flags);

// Sends to many sockets in one system call (io_uring), where the kernel allows it.
#define MARTLET_BATCH_CAPACITY 256
#define MARTLET_BATCH_PARTS 16
struct martlet_batch;

// NULL where io_uring is not to be had. Used on the thread that made it only.
struct martlet_batch *martlet_batch_create(void);
void martlet_batch_destroy(struct martlet_batch *batch);

// Adds a send that never blocks; the bytes must stay until the submit. Negative when it does not fit.
int martlet_batch_add(struct martlet_batch *batch, int fd, const struct iovec *parts, int count);

// Does all sends and answers their results in order: bytes, or a negative errno. NULL when the ring failed for good; what
// was sent is then unknown.
const long *martlet_batch_submit(struct martlet_batch *batch);

// ── UDP in batches ──

#define MARTLET_UDP_BATCH 64

// A bound UDP socket, non-blocking, close-on-exec, with buffers of `buffer` bytes, and GRO where there is some. reuse_port: 1 for
// SO_REUSEPORT, 0 for SO_REUSEADDR alone, -1 for a port that nobody else may have.
int martlet_udp_bind(const struct sockaddr *address, socklen_t length, int buffer, int reuse_port);

// One datagram, or with `segment` several of one size behind one another (the last may be shorter).
struct martlet_datagram {
  void *bytes;
  uint32_t count;
  uint16_t segment;
  // Bits of the IP header: 0 not ECN-capable, 1 ECT(1), 2 ECT(0), 3 congestion experienced.
  uint8_t ecn;
  struct sockaddr_storage peer;
  socklen_t peer_length;
};

// Receives up to `count` datagrams (at most MARTLET_UDP_BATCH); each `bytes` and `count` say where it may go. Answers how many
// came, or a negative errno.
int martlet_udp_receive(int fd, struct martlet_datagram *datagrams, int count);

// Sends up to `count` datagrams in one call; those with `segment` as one GSO send each. Answers how many entries were taken.
int martlet_udp_send(int fd, const struct martlet_datagram *datagrams, int count);

// What ICMP said about a datagram that was sent.
struct martlet_udp_error {
  struct sockaddr_storage peer;
  uint8_t type;
  uint8_t code;
  // The MTU of EMSGSIZE, else 0.
  uint32_t data;
};

// Lets ICMP errors wait for martlet_udp_take_error; while one does, polling says so as an error.
void martlet_udp_hear_errors(int fd);
// Takes one: 1, or 0 when none from ICMP is left at the front.
int martlet_udp_take_error(int fd, struct martlet_udp_error *error);
// Sets the don't-fragment bit on what is sent, or clears it.
void martlet_udp_forbid_fragments(int fd, int forbid);

// ── Extended attributes of files ──

// 0, or a negative errno.
int martlet_set_attribute(int fd, const char *name, const void *value, size_t length);
// Bytes of the value, or a negative errno.
long martlet_get_attribute(int fd, const char *name, void *value, size_t capacity);
