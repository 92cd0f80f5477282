// Hints to the processor's cache and to the allocator, which Swift cannot give.
#ifndef COTERIE_MEMORY_H
#define COTERIE_MEMORY_H

#include <stddef.h>

/// Asks that the cache line of an address be loaded; any address will do.
static inline void coterie_prefetch(const void *address) { __builtin_prefetch(address); }

/// From now on an allocation of at least so many bytes lies apart from all others and goes back to the kernel
/// when it is freed. By itself glibc moves that limit up to 32 MiB as such allocations are freed, and keeps
/// the holes that they leave. Nothing happens with other allocators.
void coterie_keep_apart(size_t bytes);

#endif
