// Hints to the processor's cache, which Swift cannot give.
#ifndef COTERIE_MEMORY_H
#define COTERIE_MEMORY_H

/// Asks that the cache line of an address be loaded; any address will do.
static inline void coterie_prefetch(const void *address) { __builtin_prefetch(address); }

#endif
