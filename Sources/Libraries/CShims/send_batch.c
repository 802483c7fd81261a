#define _GNU_SOURCE
#include "CShims.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#ifdef __linux__
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

// Sends to many sockets in one system call. The ring is spoken to directly: what is used of it is forty lines, and the
// binary needs no further library. A batch is synchronous: nothing is in flight when martlet_batch_submit returns.

enum { capacity = MARTLET_BATCH_CAPACITY, parts_each = MARTLET_BATCH_PARTS };

struct martlet_batch {
  int fd;
  unsigned *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
  struct io_uring_sqe *sqes;
  struct io_uring_cqe *cqes;
  void *rings, *entries;
  size_t rings_size, entries_size;
  int count;
  struct msghdr messages[capacity];
  struct iovec parts[capacity][parts_each];
  long results[capacity];
};

static int setup(unsigned flags, struct io_uring_params *params) {
  memset(params, 0, sizeof *params);
  params->flags = flags;
  return (int)syscall(SYS_io_uring_setup, capacity, params);
}

static void unmap(struct martlet_batch *batch) {
  if (batch->rings && batch->rings != MAP_FAILED) munmap(batch->rings, batch->rings_size);
  if (batch->entries && batch->entries != MAP_FAILED) munmap(batch->entries, batch->entries_size);
  if (batch->fd >= 0) close(batch->fd);
  free(batch);
}

struct martlet_batch *martlet_batch_create(void) {
  struct io_uring_params params;
  int fd = setup(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN, &params);
  if (fd < 0) fd = setup(0, &params);
  if (fd < 0) return NULL;
  struct martlet_batch *batch = calloc(1, sizeof *batch);
  if (!batch) {
    close(fd);
    return NULL;
  }
  batch->fd = fd;
  size_t sq = params.sq_off.array + params.sq_entries * sizeof(unsigned);
  size_t cq = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
  batch->rings_size = sq > cq ? sq : cq;
  batch->entries_size = params.sq_entries * sizeof(struct io_uring_sqe);
  if (!(params.features & IORING_FEAT_SINGLE_MMAP)) {
    unmap(batch);
    return NULL;
  }
  batch->rings = mmap(NULL, batch->rings_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQ_RING);
  batch->entries = mmap(NULL, batch->entries_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQES);
  if (batch->rings == MAP_FAILED || batch->entries == MAP_FAILED) {
    unmap(batch);
    return NULL;
  }
  char *ring = batch->rings;
  batch->sq_tail = (unsigned *)(ring + params.sq_off.tail);
  batch->sq_mask = (unsigned *)(ring + params.sq_off.ring_mask);
  batch->sq_array = (unsigned *)(ring + params.sq_off.array);
  batch->cq_head = (unsigned *)(ring + params.cq_off.head);
  batch->cq_tail = (unsigned *)(ring + params.cq_off.tail);
  batch->cq_mask = (unsigned *)(ring + params.cq_off.ring_mask);
  batch->cqes = (struct io_uring_cqe *)(ring + params.cq_off.cqes);
  batch->sqes = batch->entries;
  return batch;
}

void martlet_batch_destroy(struct martlet_batch *batch) {
  if (batch) unmap(batch);
}

int martlet_batch_add(struct martlet_batch *batch, int fd, const struct iovec *parts, int count) {
  if (batch->count == capacity || count < 1 || count > parts_each) return -1;
  int index = batch->count++;
  struct io_uring_sqe *sqe = &batch->sqes[index];
  memset(sqe, 0, sizeof *sqe);
  sqe->fd = fd;
  sqe->user_data = (unsigned)index;
  sqe->msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL;
  if (count == 1) {
    sqe->opcode = IORING_OP_SEND;
    sqe->addr = (uintptr_t)parts[0].iov_base;
    sqe->len = (unsigned)parts[0].iov_len;
  } else {
    memcpy(batch->parts[index], parts, (size_t)count * sizeof *parts);
    batch->messages[index] = (struct msghdr){.msg_iov = batch->parts[index], .msg_iovlen = (size_t)count};
    sqe->opcode = IORING_OP_SENDMSG;
    sqe->addr = (uintptr_t)&batch->messages[index];
    sqe->len = 1;
  }
  unsigned tail = *batch->sq_tail + (unsigned)index;
  batch->sq_array[tail & *batch->sq_mask] = (unsigned)index;
  return index;
}

static void reap(struct martlet_batch *batch, int *left) {
  unsigned head = *batch->cq_head, tail = __atomic_load_n(batch->cq_tail, __ATOMIC_ACQUIRE);
  for (; head != tail; head++) {
    struct io_uring_cqe *cqe = &batch->cqes[head & *batch->cq_mask];
    if (cqe->user_data < capacity) batch->results[cqe->user_data] = cqe->res;
    (*left)--;
  }
  __atomic_store_n(batch->cq_head, head, __ATOMIC_RELEASE);
}

const long *martlet_batch_submit(struct martlet_batch *batch) {
  int submitted = 0, left = batch->count;
  for (int index = 0; index < batch->count; index++) batch->results[index] = -EAGAIN;
  __atomic_store_n(batch->sq_tail, *batch->sq_tail + (unsigned)batch->count, __ATOMIC_RELEASE);
  while (left > 0) {
    long done = syscall(SYS_io_uring_enter, batch->fd, batch->count - submitted, left, IORING_ENTER_GETEVENTS, NULL, 0);
    if (done > 0) submitted += (int)done;
    if (done < 0 && errno != EINTR && errno != EAGAIN && errno != EBUSY) break;
    reap(batch, &left);
  }
  batch->count = 0;
  return left == 0 ? batch->results : NULL;
}

#else
struct martlet_batch *martlet_batch_create(void) { return NULL; }
void martlet_batch_destroy(struct martlet_batch *batch) { (void)batch; }
int martlet_batch_add(struct martlet_batch *batch, int fd, const struct iovec *parts, int count) {
  (void)batch, (void)fd, (void)parts, (void)count;
  return -1;
}
const long *martlet_batch_submit(struct martlet_batch *batch) {
  (void)batch;
  return NULL;
}
#endif
