// Whole-buffer checksums. CRC32C uses the processor's instruction where it has one (SSE 4.2 is
// checked at run time, ARMv8's CRC extension at compile time) and slicing by eight elsewhere.

#include "checksum.h"

#include <string.h>

#define SLICES 8

static uint32_t castagnoli[SLICES][256];
static uint32_t iso[SLICES][256];
static uint32_t header24[256];

static void fill(uint32_t table[SLICES][256], uint32_t polynomial) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ ((crc & 1) ? polynomial : 0);
        table[0][i] = crc;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (int slice = 1; slice < SLICES; slice++)
            table[slice][i] = (table[slice - 1][i] >> 8) ^ table[0][table[slice - 1][i] & 0xFF];
}

// Runs before main, so that no caller ever sees a half-filled table.
__attribute__((constructor)) static void fill_tables(void) {
    fill(castagnoli, 0x82F63B78u);
    fill(iso, 0xEDB88320u);
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i << 16;
        for (int bit = 0; bit < 8; bit++) crc = (crc << 1) ^ ((crc & 0x800000) ? 0x1974F0B : 0);
        header24[i] = crc & 0xFFFFFF;
    }
}

static uint32_t sliced(uint32_t table[SLICES][256], uint32_t crc, const uint8_t *p, size_t n) {
    while (n >= 8) {
        uint32_t low, high;
        memcpy(&low, p, 4);
        memcpy(&high, p + 4, 4);
        low ^= crc;
        crc = table[7][low & 0xFF] ^ table[6][(low >> 8) & 0xFF] ^ table[5][(low >> 16) & 0xFF]
            ^ table[4][low >> 24] ^ table[3][high & 0xFF] ^ table[2][(high >> 8) & 0xFF]
            ^ table[1][(high >> 16) & 0xFF] ^ table[0][high >> 24];
        p += 8;
        n -= 8;
    }
    while (n--) crc = (crc >> 8) ^ table[0][(crc ^ *p++) & 0xFF];
    return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t hardware(uint32_t crc, const uint8_t *p, size_t n) {
    uint64_t wide = crc;
    while (n >= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        wide = __builtin_ia32_crc32di(wide, word);
        p += 8;
        n -= 8;
    }
    crc = (uint32_t)wide;
    while (n--) crc = __builtin_ia32_crc32qi(crc, *p++);
    return crc;
}
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
static uint32_t hardware(uint32_t crc, const uint8_t *p, size_t n) {
    while (n >= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        crc = __builtin_arm_crc32cd(crc, word);
        p += 8;
        n -= 8;
    }
    while (n--) crc = __builtin_arm_crc32cb(crc, *p++);
    return crc;
}
#endif

uint32_t coterie_crc32c(uint32_t seed, const void *bytes, size_t count) {
    uint32_t crc = ~seed;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) return ~hardware(crc, bytes, count);
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
    return ~hardware(crc, bytes, count);
#endif
    return ~sliced(castagnoli, crc, bytes, count);
}

uint32_t coterie_crc32(uint32_t crc, const void *bytes, size_t count) {
    return ~sliced(iso, ~crc, bytes, count);
}

uint32_t coterie_crc24(uint64_t bytes, size_t count) {
    uint32_t crc = 0x875060;
    for (; count > 0; count--, bytes >>= 8)
        crc = ((crc << 8) ^ header24[((crc >> 16) ^ bytes) & 0xFF]) & 0xFFFFFF;
    return crc;
}
