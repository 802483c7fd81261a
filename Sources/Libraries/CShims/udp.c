#define _GNU_SOURCE
#include "CShims.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/udp.h>
#include <string.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

int martlet_udp_bind(const struct sockaddr *address, socklen_t length, int buffer, int reuse_port) {
  int fd = socket(address->sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  int on = 1, off = 0;
  // With it Linux lets every socket that has it bind the same port.
  if (reuse_port >= 0) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (reuse_port > 0) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
  setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on);
  setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &on, sizeof on);
  if (address->sa_family == AF_INET6) {
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    setsockopt(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, &on, sizeof on);
  }
  if (bind(fd, address, length) < 0) {
    int code = errno;
    close(fd);
    return -code;
  }
  return fd;
}

static void read_control(struct msghdr *message, struct martlet_datagram *datagram) {
  datagram->segment = 0;
  datagram->ecn = 0;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
    int value = 0;
    if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
      memcpy(&value, CMSG_DATA(c), sizeof value);
      datagram->segment = (uint16_t)value;
    } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
      datagram->ecn = *(uint8_t *)CMSG_DATA(c) & 3;
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
      memcpy(&value, CMSG_DATA(c), sizeof value);
      datagram->ecn = (uint8_t)(value & 3);
    }
  }
}

int martlet_udp_receive(int fd, struct martlet_datagram *datagrams, int count) {
  struct mmsghdr messages[MARTLET_UDP_BATCH];
  struct iovec parts[MARTLET_UDP_BATCH];
  union {
    char bytes[CMSG_SPACE(sizeof(int)) * 3];
    struct cmsghdr align;
  } control[MARTLET_UDP_BATCH];
  if (count > MARTLET_UDP_BATCH) count = MARTLET_UDP_BATCH;
  for (int i = 0; i < count; i++) {
    parts[i] = (struct iovec){datagrams[i].bytes, datagrams[i].count};
    messages[i].msg_hdr = (struct msghdr){.msg_name = &datagrams[i].peer,
                                          .msg_namelen = sizeof datagrams[i].peer,
                                          .msg_iov = &parts[i],
                                          .msg_iovlen = 1,
                                          .msg_control = control[i].bytes,
                                          .msg_controllen = sizeof control[i].bytes};
  }
  int received;
  do received = recvmmsg(fd, messages, (unsigned)count, MSG_DONTWAIT, NULL);
  while (received < 0 && errno == EINTR);
  if (received < 0) return -errno;
  for (int i = 0; i < received; i++) {
    datagrams[i].count = messages[i].msg_len;
    datagrams[i].peer_length = messages[i].msg_hdr.msg_namelen;
    read_control(&messages[i].msg_hdr, &datagrams[i]);
  }
  return received;
}

int martlet_udp_send(int fd, const struct martlet_datagram *datagrams, int count) {
  struct mmsghdr messages[MARTLET_UDP_BATCH];
  struct iovec parts[MARTLET_UDP_BATCH];
  union {
    char bytes[CMSG_SPACE(sizeof(uint16_t))];
    struct cmsghdr align;
  } control[MARTLET_UDP_BATCH];
  if (count > MARTLET_UDP_BATCH) count = MARTLET_UDP_BATCH;
  for (int i = 0; i < count; i++) {
    parts[i] = (struct iovec){datagrams[i].bytes, datagrams[i].count};
    struct msghdr *header = &messages[i].msg_hdr;
    *header = (struct msghdr){.msg_name = (void *)&datagrams[i].peer,
                              .msg_namelen = datagrams[i].peer_length,
                              .msg_iov = &parts[i],
                              .msg_iovlen = 1};
    if (!datagrams[i].segment || datagrams[i].count <= datagrams[i].segment) continue;
    header->msg_control = control[i].bytes;
    header->msg_controllen = sizeof control[i].bytes;
    struct cmsghdr *c = CMSG_FIRSTHDR(header);
    *c = (struct cmsghdr){.cmsg_level = IPPROTO_UDP, .cmsg_type = UDP_SEGMENT, .cmsg_len = CMSG_LEN(sizeof(uint16_t))};
    memcpy(CMSG_DATA(c), &datagrams[i].segment, sizeof(uint16_t));
  }
  int sent;
  do sent = sendmmsg(fd, messages, (unsigned)count, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : sent;
}

void martlet_udp_hear_errors(int fd) {
  int on = 1;
  setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on);
  setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof on);
}

static int read_error(struct cmsghdr *c, struct martlet_udp_error *error) {
  int is_v4 = c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR;
  int is_v6 = c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR;
  struct sock_extended_err extended;
  if ((!is_v4 && !is_v6) || c->cmsg_len < CMSG_LEN(sizeof extended)) return 0;
  memcpy(&extended, CMSG_DATA(c), sizeof extended);
  if (extended.ee_origin != SO_EE_ORIGIN_ICMP && extended.ee_origin != SO_EE_ORIGIN_ICMP6) return 0;
  error->type = extended.ee_type;
  error->code = extended.ee_code;
  error->data = extended.ee_errno == EMSGSIZE ? extended.ee_info : 0;
  return 1;
}

int martlet_udp_take_error(int fd, struct martlet_udp_error *error) {
  union {
    char bytes[512];
    struct cmsghdr align;
  } control;
  // Errors of other origins, such as a send that was too large for the interface, are passed over.
  for (int round = 0; round < 64; round++) {
    struct msghdr message = {.msg_name = &error->peer,
                             .msg_namelen = sizeof error->peer,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    if (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) return 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
      if (read_error(c, error)) return 1;
  }
  return 0;
}

void martlet_udp_forbid_fragments(int fd, int forbid) {
  int v4 = forbid ? IP_PMTUDISC_DO : IP_PMTUDISC_DONT, v6 = forbid ? IPV6_PMTUDISC_DO : IPV6_PMTUDISC_DONT;
  setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &v4, sizeof v4);
  setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &v6, sizeof v6);
}
