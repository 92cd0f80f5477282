// See the header.

#if defined(__linux__)
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "CUring.h"

struct curing {
    struct io_uring ring;
    int event;
};

static int can_read(struct io_uring *ring) {
    struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
    if (!probe) return 0;
    int can = io_uring_opcode_supported(probe, IORING_OP_READ);
    io_uring_free_probe(probe);
    return can;
}

struct curing *curing_open(unsigned entries, int *error) {
    struct curing *made = calloc(1, sizeof *made);
    if (!made) {
        *error = ENOMEM;
        return 0;
    }
    int result = io_uring_queue_init(entries, &made->ring, 0);
    if (result < 0) {
        *error = -result;
        free(made);
        return 0;
    }
    made->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    result = made->event < 0 ? -errno : io_uring_register_eventfd(&made->ring, made->event);
    if (result == 0 && !can_read(&made->ring)) result = -ENOSYS;
    if (result < 0) {
        *error = -result;
        curing_close(made);
        return 0;
    }
    return made;
}

void curing_close(struct curing *ring) {
    io_uring_queue_exit(&ring->ring);
    if (ring->event >= 0) close(ring->event);
    free(ring);
}

int curing_event(struct curing *ring) { return ring->event; }

int curing_read(
    struct curing *ring, int file, void *buffer, unsigned count, uint64_t offset, uint64_t tag) {
    struct io_uring_sqe *entry = io_uring_get_sqe(&ring->ring);
    if (!entry) return 0;
    io_uring_prep_read(entry, file, buffer, count, offset);
    io_uring_sqe_set_data64(entry, tag);
    return 1;
}

int curing_submit(struct curing *ring, unsigned wait) {
    return io_uring_submit_and_wait(&ring->ring, wait);
}

unsigned curing_reap(struct curing *ring, uint64_t *tags, int32_t *results, unsigned capacity) {
    struct io_uring_cqe *entry;
    unsigned head, count = 0;
    io_uring_for_each_cqe(&ring->ring, head, entry) {
        if (count == capacity) break;
        tags[count] = io_uring_cqe_get_data64(entry);
        results[count] = entry->res;
        count++;
    }
    io_uring_cq_advance(&ring->ring, count);
    return count;
}

int curing_direct_flag(void) { return O_DIRECT; }

void curing_give_memory_back(void) {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

int64_t curing_file_system(int file) {
    struct statfs system;
    return fstatfs(file, &system) == 0 ? (int64_t)system.f_type : 0;
}

#else
#include <errno.h>

#include "CUring.h"

struct curing *curing_open(unsigned entries, int *error) {
    *error = ENOSYS;
    return 0;
}
void curing_close(struct curing *ring) {}
int curing_event(struct curing *ring) { return -1; }
int curing_read(
    struct curing *ring, int file, void *buffer, unsigned count, uint64_t offset, uint64_t tag) {
    return 0;
}
int curing_submit(struct curing *ring, unsigned wait) { return -ENOSYS; }
unsigned curing_reap(struct curing *ring, uint64_t *tags, int32_t *results, unsigned capacity) {
    return 0;
}
int curing_direct_flag(void) { return 0; }
int64_t curing_file_system(int file) { return 0; }
void curing_give_memory_back(void) {}
#endif
