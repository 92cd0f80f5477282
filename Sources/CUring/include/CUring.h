// io_uring for block reads, through liburing: what Swift needs of it and no more. liburing's own header
// is full of inline functions over kernel structures that do not import well; it stays inside the C file.
//
// A ring belongs to one thread. Everything here is for Linux; elsewhere `curing_open` says ENOSYS.

#pragma once
#include <stdint.h>

struct curing;

/// A ring with room for `entries` reads under way, or null with an errno in `*error`. It is refused where
/// the kernel has no io_uring, forbids it, or cannot read with it.
struct curing *curing_open(unsigned entries, int *error);
void curing_close(struct curing *ring);

/// A descriptor that becomes readable when reads have ended.
int curing_event(struct curing *ring);

/// Puts a read into the queue; 0 if the queue is full. Nothing happens before `curing_submit`.
int curing_read(
    struct curing *ring, int file, void *buffer, unsigned count, uint64_t offset, uint64_t tag);

/// Hands all that is queued to the kernel with one call, and waits until `wait` reads have ended. Gives
/// the number handed over, or a negative errno.
int curing_submit(struct curing *ring, unsigned wait);

/// Takes up to `capacity` ended reads: tags, and bytes read or negative errno. Gives how many.
unsigned curing_reap(struct curing *ring, uint64_t *tags, int32_t *results, unsigned capacity);

/// The number of the flag with which a file is opened to go around the page cache; 0 where there is none.
int curing_direct_flag(void);

/// Gives memory that was freed and is in no use back to the kernel, where the allocator can.
void curing_give_memory_back(void);

/// The number of the file system that an open file lies on, as `statfs` tells it; 0 if it does not.
int64_t curing_file_system(int file);
