/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instruction sets that the guest's CPUID does not announce: #UD, and at
 * once. The host would say so too where it has not got them, but only after
 * a fault of the memory operand. CPUID bits: Intel SDM volume 2A, CPUID; AMD
 * APM volume 3, appendix E.
 */
#include "vmm/soft/tr.h"

enum { EAX, EBX, ECX, EDX };

static const struct {
	uint16_t first, last; /* ZYDIS_ISA_SET_* */
	uint32_t leaf;
	uint8_t subleaf, reg, bit;
} sets[] = {
#define ONE(set) ZYDIS_ISA_SET_##set, ZYDIS_ISA_SET_##set
#define FROM(a, b) ZYDIS_ISA_SET_##a, ZYDIS_ISA_SET_##b
	{ ONE(ADOX_ADCX), 7, 0, EBX, 19 },
	{ ONE(AES), 1, 0, ECX, 25 },
	{ ONE(AVX), 1, 0, ECX, 28 },
	{ ONE(AVX2), 7, 0, EBX, 5 },
	{ ONE(AVX2GATHER), 7, 0, EBX, 5 },
	{ FROM(AVX512BW_128, AVX512BW_KOP), 7, 0, EBX, 30 },
	{ FROM(AVX512CD_128, AVX512CD_512), 7, 0, EBX, 28 },
	{ FROM(AVX512DQ_128, AVX512DQ_SCALAR), 7, 0, EBX, 17 },
	{ FROM(AVX512F_128, AVX512F_SCALAR), 7, 0, EBX, 16 },
	{ FROM(AVX512_BF16_128, AVX512_BF16_512), 7, 1, EAX, 5 },
	{ FROM(AVX512_BITALG_128, AVX512_BITALG_512), 7, 0, ECX, 12 },
	{ FROM(AVX512_FP16_128, AVX512_FP16_SCALAR), 7, 0, EDX, 23 },
	{ FROM(AVX512_GFNI_128, AVX512_GFNI_512), 7, 0, ECX, 8 },
	{ FROM(AVX512_IFMA_128, AVX512_IFMA_512), 7, 0, EBX, 21 },
	{ FROM(AVX512_VAES_128, AVX512_VAES_512), 7, 0, ECX, 9 },
	{ FROM(AVX512_VBMI2_128, AVX512_VBMI2_512), 7, 0, ECX, 6 },
	{ FROM(AVX512_VBMI_128, AVX512_VBMI_512), 7, 0, ECX, 1 },
	{ FROM(AVX512_VNNI_128, AVX512_VNNI_512), 7, 0, ECX, 11 },
	{ FROM(AVX512_VP2INTERSECT_128, AVX512_VP2INTERSECT_512), 7, 0, EDX,
	    8 },
	{ FROM(AVX512_VPCLMULQDQ_128, AVX512_VPCLMULQDQ_512), 7, 0, ECX, 10 },
	{ FROM(AVX512_VPOPCNTDQ_128, AVX512_VPOPCNTDQ_512), 7, 0, ECX, 14 },
	{ ONE(AVX_GFNI), 7, 0, ECX, 8 },
	{ ONE(AVX_VNNI), 7, 1, EAX, 4 },
	{ ONE(CLFLUSHOPT), 7, 0, EBX, 23 },
	{ ONE(CLWB), 7, 0, EBX, 24 },
	{ ONE(CLZERO), 0x80000008, 0, EBX, 0 },
	{ ONE(F16C), 1, 0, ECX, 29 },
	{ ONE(FMA), 1, 0, ECX, 12 },
	/* Some of AMD's have it without saying so. */
	{ ONE(FMA4), 0x80000001, 0, ECX, 16 },
	{ ONE(GFNI), 7, 0, ECX, 8 },
	{ ONE(MOVBE), 1, 0, ECX, 22 },
	{ ONE(PCLMULQDQ), 1, 0, ECX, 1 },
	{ ONE(RDRAND), 1, 0, ECX, 30 },
	{ ONE(RDSEED), 7, 0, EBX, 18 },
	{ ONE(SHA), 7, 0, EBX, 29 },
	{ ONE(SSE4A), 0x80000001, 0, ECX, 6 },
	{ ONE(TBM), 0x80000001, 0, ECX, 21 },
	{ ONE(VAES), 7, 0, ECX, 9 },
	{ ONE(VPCLMULQDQ), 7, 0, ECX, 10 },
	{ ONE(XOP), 0x80000001, 0, ECX, 11 },
	{ ONE(XSAVEC), 0xd, 1, EAX, 1 },
	{ ONE(XSAVEOPT), 0xd, 1, EAX, 0 },
#undef ONE
#undef FROM
};

_Static_assert(
    ZYDIS_ISA_SET_MAX_VALUE < sizeof(((struct soft_vm *)NULL)->isa_off),
    "one byte for each set");

void
tr_isa_init(struct soft_vm *vm)
{
	const struct cpuid_dynamic dyn = { 0 };
	uint32_t r[4];

	for (unsigned i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		cpuid_query(
		    &vm->cpuid, &dyn, sets[i].leaf, sets[i].subleaf, r);
		if (((r[sets[i].reg] >> sets[i].bit) & 1) != 0)
			continue;
		for (unsigned s = sets[i].first; s <= sets[i].last; s++)
			vm->isa_off[s] = true;
	}
}
