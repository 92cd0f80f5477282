#ifndef COTERIE_CHECKSUM_H
#define COTERIE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/// CRC32C (Castagnoli, reflected polynomial 0x82F63B78) of `count` bytes, continued from `seed`.
/// A seed of 0 gives the plain CRC32C (iSCSI, RFC 3720 appendix B.4).
uint32_t coterie_crc32c(uint32_t seed, const void *bytes, size_t count);

/// CRC32 (ISO-HDLC, reflected polynomial 0xEDB88320) continued from `crc`, where 0 starts anew:
/// what the native protocol's segments carry after their payload (v5 specification, section 2.2).
uint32_t coterie_crc32(uint32_t crc, const void *bytes, size_t count);

/// CRC24 of the low `count` bytes of `bytes`, least significant first: what guards a segment's header
/// (v5 specification, section 2.2; initial value 0x875060, polynomial 0x1974F0B).
uint32_t coterie_crc24(uint64_t bytes, size_t count);

#endif
