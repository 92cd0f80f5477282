// Whole-buffer checksums. CRC32C uses the processor's instruction where it has one (SSE 4.2 is
// checked at run time, ARMv8's CRC extension at compile time) and slicing by eight elsewhere.

#include "checksum.h"

#include <string.h>

#define SLICES 8

static uint32_t castagnoli[SLICES][256];
static uint32_t iso[SLICES][256];
static uint32_t header24[256];

// Bytes of each of three streams that the instruction is given in turn: one takes three cycles, and
// another can begin in each of them. A sum is moved over as many zeros as the next stream has bytes, and
// the next one's added; that is linear, hence a table for each byte of the sum.
#define LANE 512
static uint32_t over_lane[4][256];

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

static void fill_over_lane(void) {
    uint32_t moved[32];
    for (int bit = 0; bit < 32; bit++) {
        uint32_t crc = (uint32_t)1 << bit;
        for (int n = 0; n < LANE; n++) crc = (crc >> 8) ^ castagnoli[0][crc & 0xFF];
        moved[bit] = crc;
    }
    for (int byte = 0; byte < 4; byte++)
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t crc = 0;
            for (int bit = 0; bit < 8; bit++)
                if (i & (1u << bit)) crc ^= moved[byte * 8 + bit];
            over_lane[byte][i] = crc;
        }
}

// Runs before main, so that no caller ever sees a half-filled table.
__attribute__((constructor)) static void fill_tables(void) {
    fill(castagnoli, 0x82F63B78u);
    fill(iso, 0xEDB88320u);
    fill_over_lane();
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
#define HARDWARE __attribute__((target("sse4.2")))
#define ADD_WORD(crc, word) ((uint32_t)__builtin_ia32_crc32di(crc, word))
#define ADD_BYTE(crc, byte) __builtin_ia32_crc32qi(crc, byte)
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
#define HARDWARE
#define ADD_WORD(crc, word) __builtin_arm_crc32cd(crc, word)
#define ADD_BYTE(crc, byte) __builtin_arm_crc32cb(crc, byte)
#endif

#ifdef HARDWARE
static inline uint64_t load_word(const uint8_t *p) {
    uint64_t word;
    memcpy(&word, p, 8);
    return word;
}

static inline uint32_t moved_over_lane(uint32_t crc) {
    return over_lane[0][crc & 0xFF] ^ over_lane[1][(crc >> 8) & 0xFF]
        ^ over_lane[2][(crc >> 16) & 0xFF] ^ over_lane[3][crc >> 24];
}

HARDWARE static uint32_t hardware(uint32_t crc, const uint8_t *p, size_t n) {
    for (; n >= 3 * LANE; p += 3 * LANE, n -= 3 * LANE) {
        uint32_t second = 0, third = 0;
        for (const uint8_t *q = p; q < p + LANE; q += 8) {
            crc = ADD_WORD(crc, load_word(q));
            second = ADD_WORD(second, load_word(q + LANE));
            third = ADD_WORD(third, load_word(q + 2 * LANE));
        }
        crc = moved_over_lane(moved_over_lane(crc) ^ second) ^ third;
    }
    for (; n >= 8; p += 8, n -= 8) crc = ADD_WORD(crc, load_word(p));
    while (n--) crc = ADD_BYTE(crc, *p++);
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

#if defined(__x86_64__)
// Carry-less multiplication folds 64 bytes at a time (Gopal and others, "Fast CRC Computation for
// Generic Polynomials Using PCLMULQDQ Instruction", Intel 2009). The constants are powers of x modulo
// the reflected polynomial, as that paper derives them for 0xEDB88320.
typedef long long lanes __attribute__((vector_size(16)));

static const lanes fold_by_4 = {0x0154442bd4, 0x01c6e41596};
static const lanes fold_by_1 = {0x01751997d0, 0x00ccaa009e};
static const lanes fold_64 = {0x0163cd6124, 0};
static const lanes barrett = {0x01db710641, 0x01f7011641};

static inline lanes load_lanes(const uint8_t *p) {
    lanes value;
    memcpy(&value, p, 16);
    return value;
}

__attribute__((target("pclmul,sse2"))) static inline lanes fold(lanes value, lanes by, lanes next) {
    return __builtin_ia32_pclmulqdq128(value, by, 0x00)
        ^ __builtin_ia32_pclmulqdq128(value, by, 0x11) ^ next;
}

// The bytes must be at least 64; what is left over under 16 is returned in `rest`.
__attribute__((target("pclmul,sse2"))) static uint32_t folded(
    uint32_t crc, const uint8_t *p, size_t n, size_t *rest) {
    lanes a = load_lanes(p) ^ (lanes){(long long)(uint64_t)crc, 0};
    lanes b = load_lanes(p + 16), c = load_lanes(p + 32), d = load_lanes(p + 48);
    for (p += 64, n -= 64; n >= 64; p += 64, n -= 64) {
        a = fold(a, fold_by_4, load_lanes(p));
        b = fold(b, fold_by_4, load_lanes(p + 16));
        c = fold(c, fold_by_4, load_lanes(p + 32));
        d = fold(d, fold_by_4, load_lanes(p + 48));
    }
    a = fold(a, fold_by_1, b);
    a = fold(a, fold_by_1, c);
    a = fold(a, fold_by_1, d);
    for (; n >= 16; p += 16, n -= 16) a = fold(a, fold_by_1, load_lanes(p));
    *rest = n;
    // 128 bits to 64, 64 to 32 (Barrett).
    const long long low32 = 0xFFFFFFFF;
    a = __builtin_ia32_pclmulqdq128(a, fold_by_1, 0x10) ^ (lanes){a[1], 0};
    lanes shifted = {(long long)((uint64_t)a[0] >> 32 | (uint64_t)a[1] << 32),
                     (long long)((uint64_t)a[1] >> 32)};
    a = __builtin_ia32_pclmulqdq128((lanes){a[0] & low32, 0}, fold_64, 0x00) ^ shifted;
    lanes quotient = __builtin_ia32_pclmulqdq128((lanes){a[0] & low32, 0}, barrett, 0x10);
    lanes product =
        __builtin_ia32_pclmulqdq128((lanes){quotient[0] & low32, 0}, barrett, 0x00);
    return (uint32_t)((uint64_t)(a[0] ^ product[0]) >> 32);
}
#endif

uint32_t coterie_crc32(uint32_t crc, const void *bytes, size_t count) {
    const uint8_t *p = bytes;
    crc = ~crc;
#if defined(__x86_64__)
    if (count >= 64 && __builtin_cpu_supports("pclmul")) {
        size_t rest;
        crc = folded(crc, p, count, &rest);
        p += count - rest;
        count = rest;
    }
#endif
    return ~sliced(iso, crc, p, count);
}

uint32_t coterie_crc24(uint64_t bytes, size_t count) {
    uint32_t crc = 0x875060;
    for (; count > 0; count--, bytes >>= 8)
        crc = ((crc << 8) ^ header24[((crc >> 16) ^ bytes) & 0xFF]) & 0xFFFFFF;
    return crc;
}
