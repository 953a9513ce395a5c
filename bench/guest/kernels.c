/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Computation: what a processor does in user mode without a system call. Each
 * case takes 0.1 to 0.3 s on a processor of 2023. Built a second time with
 * -m32, without what adds nothing there; its matmul uses the x87.
 */
#include <emmintrin.h>
#include <immintrin.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#ifdef BENCH_ZSTD
#include <zstd.h>
#endif

#define MIB ((size_t)1 << 20)
#define WORD32 (sizeof(long) == 4)
#define NOINLINE __attribute__((noinline))

static void
fill_random(void *buf, size_t len, uint64_t seed)
{
	uint64_t *p = buf;

	for (size_t i = 0; i < len / 8; i++)
		p[i] = bench_random(&seed);
}

/* ---- checksums ---- */

static uint64_t
crc32(void)
{
	static uint32_t table[256];
	uint8_t *buf = bench_alloc(MIB);
	uint32_t crc = ~0u;

	fill_random(buf, MIB, 1);
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int k = 0; k < 8; k++)
			c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
		table[i] = c;
	}
	bench_begin();
	for (int round = 0; round < 64; round++)
		for (size_t i = 0; i < MIB; i++)
			crc = table[(crc ^ buf[i]) & 0xff] ^ (crc >> 8);
	bench_end();
	return (~crc);
}

static const uint32_t sha_k[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1,
	0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
	0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
	0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
	0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
	0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
	0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
	0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
	0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2
};

static inline uint32_t
ror(uint32_t x, int n)
{
	return (x >> n | x << (32 - n));
}

static NOINLINE void
sha_block(uint32_t h[8], const uint8_t *p)
{
	uint32_t w[64], v[8];

	for (int i = 0; i < 16; i++) {
		memcpy(&w[i], p + i * 4, 4);
		w[i] = __builtin_bswap32(w[i]);
	}
	for (int i = 16; i < 64; i++)
		w[i] = w[i - 16] + w[i - 7] +
		    (ror(w[i - 15], 7) ^ ror(w[i - 15], 18) ^ w[i - 15] >> 3) +
		    (ror(w[i - 2], 17) ^ ror(w[i - 2], 19) ^ w[i - 2] >> 10);
	memcpy(v, h, sizeof(v));
	for (int i = 0; i < 64; i++) {
		uint32_t t1 = v[7] +
		    (ror(v[4], 6) ^ ror(v[4], 11) ^ ror(v[4], 25)) +
		    ((v[4] & v[5]) ^ (~v[4] & v[6])) + sha_k[i] + w[i];
		uint32_t t2 = (ror(v[0], 2) ^ ror(v[0], 13) ^ ror(v[0], 22)) +
		    ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));

		v[7] = v[6];
		v[6] = v[5];
		v[5] = v[4];
		v[4] = v[3] + t1;
		v[3] = v[2];
		v[2] = v[1];
		v[1] = v[0];
		v[0] = t1 + t2;
	}
	for (int i = 0; i < 8; i++)
		h[i] += v[i];
}

static uint64_t
sha256(void)
{
	uint32_t h[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
		0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
	uint8_t *buf = bench_alloc(MIB);

	fill_random(buf, MIB, 2);
	bench_begin();
	for (int round = 0; round < 32; round++)
		for (size_t i = 0; i < MIB; i += 64)
			sha_block(h, buf + i);
	bench_end();
	return (bench_hash(BENCH_HASH, h, sizeof(h)));
}

/* ---- integers and control flow ---- */

static uint64_t
div64(void)
{
	uint64_t seed = 3, a[256], b[256], sum = 0;

	for (int i = 0; i < 256; i++) {
		a[i] = bench_random(&seed);
		b[i] = (bench_random(&seed) >> (i & 63)) | 1;
	}
	bench_begin();
	for (int round = 0; round < 80000; round++)
		for (int i = 0; i < 256; i++)
			sum += (a[i] + sum) / b[i];
	bench_end();
	return (sum);
}

typedef int compare(const void *, const void *);

static int
compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x < y ? -1 : x > y);
}

static NOINLINE void
quick(uint32_t *v, long lo, long hi, compare *cmp)
{
	while (lo < hi) {
		uint32_t pivot = v[lo + (hi - lo) / 2], swap;
		long i = lo, j = hi;

		while (i <= j) {
			while (cmp(&v[i], &pivot) < 0)
				i++;
			while (cmp(&v[j], &pivot) > 0)
				j--;
			if (i > j)
				break;
			swap = v[i];
			v[i++] = v[j];
			v[j--] = swap;
		}
		quick(v, lo, j, cmp);
		lo = i;
	}
}

static uint64_t
quicksort(void)
{
	size_t n = MIB;
	uint32_t *v = bench_alloc(n * 4);
	compare *volatile cmp = compare_u32;

	fill_random(v, n * 4, 4);
	bench_begin();
	quick(v, 0, (long)n - 1, cmp);
	bench_end();
	return (bench_hash(BENCH_HASH, v, n * 4));
}

/* A machine with eight registers: three bytes of operands, one of opcode. */
enum { I_ADD, I_SUB, I_XOR, I_SHR, I_LD, I_ST, I_ADDI, I_JNZ, I_MUL, I_HALT };
struct insn {
	uint8_t op, a, b, c;
};
static const struct insn program[] = {
	{ I_ADDI, 1, 1, 3 },  /* 0 */
	{ I_MUL, 2, 2, 7 },
	{ I_XOR, 2, 2, 1 },
	{ I_LD, 3, 2, 0 },
	{ I_ADD, 4, 4, 3 },
	{ I_SHR, 5, 4, 3 },
	{ I_ST, 5, 1, 0 },
	{ I_SUB, 6, 6, 5 },
	{ I_ADDI, 0, 0, 255 }, /* -1 */
	{ I_JNZ, 0, 0, 0 },
	{ I_HALT, 0, 0, 0 },
};

static NOINLINE uint64_t
interpret_switch(const struct insn *code, uint32_t *r, uint32_t *mem)
{
	const struct insn *pc = code;

	for (;;) {
		const struct insn i = *pc++;

		switch (i.op) {
		case I_ADD:
			r[i.a] = r[i.b] + r[i.c];
			break;
		case I_SUB:
			r[i.a] = r[i.b] - r[i.c];
			break;
		case I_XOR:
			r[i.a] = r[i.b] ^ r[i.c];
			break;
		case I_SHR:
			r[i.a] = r[i.b] >> i.c;
			break;
		case I_LD:
			r[i.a] = mem[r[i.b] & 1023];
			break;
		case I_ST:
			mem[r[i.b] & 1023] = r[i.a];
			break;
		case I_ADDI:
			r[i.a] = r[i.b] + (uint32_t)(int8_t)i.c;
			break;
		case I_JNZ:
			if (r[i.a] != 0)
				pc = code + i.b;
			break;
		case I_MUL:
			r[i.a] = r[i.b] * r[i.c];
			break;
		default:
			return (bench_hash(BENCH_HASH, r, 32));
		}
	}
}

static NOINLINE uint64_t
interpret_goto(const struct insn *code, uint32_t *r, uint32_t *mem)
{
	static const void *const labels[] = { &&add, &&sub, &&xor, &&shr, &&ld,
		&&st, &&addi, &&jnz, &&mul, &&halt };
	const struct insn *pc = code;
	struct insn i;

#define NEXT()                                                                 \
	do {                                                                   \
		i = *pc++;                                                     \
		goto *labels[i.op];                                            \
	} while (0)
	NEXT();
add:
	r[i.a] = r[i.b] + r[i.c];
	NEXT();
sub:
	r[i.a] = r[i.b] - r[i.c];
	NEXT();
xor:
	r[i.a] = r[i.b] ^ r[i.c];
	NEXT();
shr:
	r[i.a] = r[i.b] >> i.c;
	NEXT();
ld:
	r[i.a] = mem[r[i.b] & 1023];
	NEXT();
st:
	mem[r[i.b] & 1023] = r[i.a];
	NEXT();
addi:
	r[i.a] = r[i.b] + (uint32_t)(int8_t)i.c;
	NEXT();
jnz:
	if (r[i.a] != 0)
		pc = code + i.b;
	NEXT();
mul:
	r[i.a] = r[i.b] * r[i.c];
	NEXT();
halt:
	return (bench_hash(BENCH_HASH, r, 32));
#undef NEXT
}

static uint64_t
interpreter(uint64_t (*run)(const struct insn *, uint32_t *, uint32_t *))
{
	uint32_t r[8] = { 8000000, 1, 2, 3, 4, 5, 6, 0x9e3779b1 };
	static uint32_t mem[1024];
	uint64_t sum;

	fill_random(mem, sizeof(mem), 5);
	bench_begin();
	sum = run(program, r, mem);
	bench_end();
	return (sum);
}

static uint64_t
interp_switch(void)
{
	return (interpreter(interpret_switch));
}

static uint64_t
interp_goto(void)
{
	return (interpreter(interpret_goto));
}

/* As plain as it is written: no copies of the function in itself. */
static __attribute__((noinline, noclone, optimize("no-inline",
    "no-optimize-sibling-calls"))) uint64_t
fib_of(unsigned n)
{
	return (n < 2 ? n : fib_of(n - 1) + fib_of(n - 2));
}

static uint64_t
fib(void)
{
	volatile unsigned n = 37;
	uint64_t v;

	bench_begin();
	v = fib_of(n);
	bench_end();
	return (v);
}

#define F(n)                                                                   \
	static NOINLINE uint64_t f##n(uint64_t x)                              \
	{                                                                      \
		return (x * (2 * (n) + 1) + (n));                              \
	}
#define F8(a, b, c, d, e, f, g, h) F(a) F(b) F(c) F(d) F(e) F(f) F(g) F(h)
F8(0, 1, 2, 3, 4, 5, 6, 7)
F8(8, 9, 10, 11, 12, 13, 14, 15)
static uint64_t (*const functions[16])(uint64_t) = { f0, f1, f2, f3, f4, f5,
	f6, f7, f8, f9, f10, f11, f12, f13, f14, f15 };

/* A call site with one target after another, and one that is at random. */
static uint64_t
calls(bool random)
{
	static uint8_t which[4096];
	uint64_t x = 1, seed = 6;

	for (size_t i = 0; i < sizeof(which); i++)
		which[i] = (random ? bench_random(&seed) : i >> 6) & 15;
	bench_begin();
	for (int round = 0; round < (random ? 4000 : 15000); round++)
		for (size_t i = 0; i < sizeof(which); i++)
			x = functions[which[i]](x);
	bench_end();
	return (x);
}

static uint64_t
icall(void)
{
	return (calls(false));
}

static uint64_t
icall_random(void)
{
	return (calls(true));
}

/* ---- memory ---- */

static uint64_t
chase(void)
{
	size_t n = 64 * MIB / 64;
	struct node {
		struct node *next;
		uint8_t pad[64 - sizeof(struct node *)];
	} *nodes = bench_alloc(n * sizeof(*nodes)), *p;
	uint32_t *order = bench_alloc(n * 4);
	uint64_t seed = 7;

	for (size_t i = 0; i < n; i++)
		order[i] = (uint32_t)i;
	for (size_t i = n - 1; i > 0; i--) {
		size_t j = bench_random(&seed) % (i + 1);
		uint32_t swap = order[i];

		order[i] = order[j];
		order[j] = swap;
	}
	for (size_t i = 0; i < n; i++)
		nodes[order[i]].next = &nodes[order[(i + 1) % n]];
	p = &nodes[order[0]];
	bench_begin();
	for (size_t i = 0; i < 2 * n; i++)
		p = p->next;
	bench_end();
	return ((uint64_t)(p - nodes));
}

static uint64_t
copies(size_t rounds, bool rep)
{
	size_t n = 16 * MIB;
	uint8_t *a = bench_alloc(n), *b = bench_alloc(n);
	void *(*volatile copy)(void *, const void *, size_t) = memcpy;

	fill_random(a, n, 8);
	bench_begin();
	for (size_t i = 0; i < rounds; i++) {
		a[i] ^= 1;
		if (rep) {
			void *d = b, *s = a;
			size_t c = n;

			__asm__ volatile("rep movsb"
					 : "+D"(d), "+S"(s), "+c"(c)
					 :
					 : "memory");
		} else
			(void)copy(b, a, n);
	}
	bench_end();
	return (bench_hash(BENCH_HASH, b, n));
}

static uint64_t
memcpy_16m(void)
{
	return (copies(50, false));
}

static uint64_t
rep_movsb_16m(void)
{
	return (copies(20, true));
}

/* Many short ones: what programs do. */
static uint64_t
memcpy_small(void)
{
	size_t n = 65536;
	uint8_t *a = bench_alloc(n * 2);
	void *(*volatile copy)(void *, const void *, size_t) = memcpy;
	uint64_t seed = 9;
	static uint32_t arg[4096];

	fill_random(a, n * 2, 8);
	for (int i = 0; i < 4096; i++)
		arg[i] = (uint32_t)bench_random(&seed);
	bench_begin();
	for (int round = 0; round < 5000; round++)
		for (int i = 0; i < 4096; i++)
			(void)copy(a + (arg[i] & 0xffff),
			    a + n + (arg[i] >> 16 & 0x7fff),
			    arg[i] >> 25);
	bench_end();
	return (bench_hash(BENCH_HASH, a, n));
}

/* ---- floating point and vectors ---- */

static uint64_t
matmul(void)
{
	enum { N = 384 };
	double *a = bench_alloc(N * N * 8), *b = bench_alloc(N * N * 8),
	       *c = bench_alloc(N * N * 8);
	uint64_t seed = 10;

	for (int i = 0; i < N * N; i++) {
		a[i] = (double)(bench_random(&seed) & 0xffff) / 256;
		b[i] = (double)(bench_random(&seed) & 0xffff) / 4096;
	}
	bench_begin();
	for (int round = 0; round < (WORD32 ? 2 : 6); round++)
		for (int i = 0; i < N; i++)
			for (int k = 0; k < N; k++) {
				double f = a[i * N + k];

				for (int j = 0; j < N; j++)
					c[i * N + j] += f * b[k * N + j];
			}
	bench_end();
	return (bench_hash(BENCH_HASH, c, N * N * 8));
}

static uint64_t
x87(void)
{
	static long double v[1024];
	long double sum = 0, product = 1;
	uint64_t seed = 11, out[2] = { 0, 0 };

	for (int i = 0; i < 1024; i++)
		v[i] = 1.0L + (long double)(int32_t)bench_random(&seed) /
			4294967296.0L;
	bench_begin();
	for (int round = 0; round < 40000; round++)
		for (int i = 0; i < 1024; i++) {
			sum += v[i];
			product = product * v[i] * 0.5L + 0.5L;
		}
	bench_end();
	sum += product;
	memcpy(out, &sum, 10);
	return (bench_hash(BENCH_HASH, out, sizeof(out)));
}

static uint64_t
sse2(void)
{
	__m128i *v = bench_alloc(65536), s = _mm_setzero_si128();
	__m128i k = _mm_set1_epi16(0x1235), one = _mm_set1_epi32(0x10001);

	fill_random(v, 65536, 12);
	bench_begin();
	for (int round = 0; round < 80000; round++)
		for (int i = 0; i < 4096; i += 2) {
			__m128i x = _mm_mullo_epi16(v[i], k);
			__m128i y = _mm_madd_epi16(v[i + 1], x);

			s = _mm_xor_si128(_mm_add_epi32(s, y),
			    _mm_srli_epi32(_mm_sub_epi8(x, one), 3));
		}
	bench_end();
	return (bench_hash(BENCH_HASH, &s, 16));
}

__attribute__((target("avx2"))) static uint64_t
avx2(void)
{
	__m256i *v, s, k, one;

	if (!__builtin_cpu_supports("avx2"))
		bench_skip("no AVX2");
	v = bench_alloc(65536);
	s = _mm256_setzero_si256();
	k = _mm256_set1_epi16(0x1235);
	one = _mm256_set1_epi32(0x10001);
	fill_random(v, 65536, 13);
	bench_begin();
	for (int round = 0; round < 40000; round++)
		for (int i = 0; i < 2048; i += 2) {
			__m256i x = _mm256_mullo_epi16(v[i], k);
			__m256i y = _mm256_madd_epi16(v[i + 1], x);

			s = _mm256_xor_si256(_mm256_add_epi32(s, y),
			    _mm256_shuffle_epi8(_mm256_sub_epi8(x, one), y));
		}
	bench_end();
	return (bench_hash(BENCH_HASH, &s, 32));
}

/* ---- compression ---- */

#ifdef BENCH_ZSTD
/* Text-like: words of a small vocabulary, some of them at random. */
static void
fill_text(char *buf, size_t len)
{
	static char words[512][12];
	uint64_t seed = 14, r;
	size_t n;

	for (int i = 0; i < 512; i++) {
		r = bench_random(&seed);
		n = 2 + r % 9;
		for (size_t j = 0; j < n; j++)
			words[i][j] = (char)('a' + (r >> (8 + 5 * j)) % 26);
	}
	for (size_t i = 0; i < len;) {
		r = bench_random(&seed);
		for (const char *w = words[(r & 511) & (r >> 9)];
		     *w != '\0' && i < len;)
			buf[i++] = *w++;
		if (i < len)
			buf[i++] = (r >> 20) % 12 == 0 ? '\n' : ' ';
	}
}

static uint64_t
zstd(bool back)
{
	size_t n = 12 * MIB, room = ZSTD_compressBound(n), len;
	char *text = bench_alloc(n), *out = bench_alloc(room);
	int rounds = back ? 12 : 3;

	fill_text(text, n);
	len = ZSTD_compress(out, room, text, n, 3);
	bench_begin();
	for (int i = 0; i < rounds; i++)
		if (back)
			(void)ZSTD_decompress(text, n, out, len);
		else
			len = ZSTD_compress(out, room, text, n, 3);
	bench_end();
	return (bench_hash(bench_hash(BENCH_HASH, out, len), text, n));
}

static uint64_t
zstd_compress(void)
{
	return (zstd(false));
}

static uint64_t
zstd_decompress(void)
{
	return (zstd(true));
}
#endif

static const struct bench_case cases[] = {
	{ "crc32", crc32 },
	{ "sha256", sha256 },
	{ "div64", div64 },
	{ "quicksort", quicksort },
	{ "interp-switch", interp_switch },
	{ "fib", fib },
	{ "icall", icall },
	{ "memcpy-16m", memcpy_16m },
	{ "memcpy-small", memcpy_small },
	{ "rep-movsb-16m", rep_movsb_16m },
	{ "matmul", matmul },
	{ "sse2", sse2 },
#ifdef __x86_64__ /* not twice */
	{ "interp-goto", interp_goto },
	{ "icall-random", icall_random },
	{ "chase-64m", chase },
	{ "x87", x87 },
	{ "avx2", avx2 },
#endif
#ifdef BENCH_ZSTD
	{ "zstd", zstd_compress },
	{ "unzstd", zstd_decompress },
#endif
};

int
main(int argc, char *argv[])
{
	return (bench_main(argc, argv, WORD32 ? "32-" : "", cases,
	    sizeof(cases) / sizeof(cases[0])));
}
