/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MSRs that are storage, constants or ignored. Numbers and layouts: Intel
 * SDM, volume 4, chapter 2, and AMD APM, volume 2, appendix A.
 */
#include "vmm/msr.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "vmm/cpuid.h"

#define MSR_SPEC_CTRL 0x48
#define MSR_PRED_CMD 0x49
#define MSR_BIOS_SIGN 0x8b
#define MSR_MTRRCAP 0xfe
#define MSR_FLUSH_CMD 0x10b
#define MSR_MISC_FEATURES 0x140
#define MSR_MISC_ENABLE 0x1a0
#define MSR_MTRR_PHYS 0x200
#define MSR_MTRR_FIX64K 0x250
#define MSR_MTRR_FIX16K 0x258
#define MSR_MTRR_FIX4K 0x268
#define MSR_PAT 0x277
#define MSR_MTRR_DEF_TYPE 0x2ff

/* Eight variable ranges, fixed ranges, write combining. */
#define MTRRCAP 0x508u
#define PAT_RESET 0x0007040600070406ull
/* Fast strings; no BTS, no PEBS. Only the first can be changed. */
#define MISC_ENABLE_RESET 0x1801ull
#define MISC_ENABLE_WRITABLE 1ull
#define SPEC_CTRL_VALID 7ull /* IBRS STIBP SSBD */
#define SPEC_CTRL_BHI_DIS_S (1ull << 10)

/*
 * ARCH_CAPABILITIES: the faults of a real processor that do not reach a
 * guest whose memory accesses are checked by software, and those whose
 * remedy is the host's to apply: RDCL_NO IBRS_ALL SKIP_L1DFL SSB_NO MDS_NO
 * IF_PSCHANGE_NO TAA_NO SBDR_SSDP_NO FBSDP_NO PSDP_NO BHI_NO PBRSB_NO
 * GDS_NO RFDS_NO ITS_NO.
 */
#define ARCH_CAPABILITIES                                                      \
	((1ull << 0) | (1ull << 1) | (1ull << 3) | (1ull << 4) |               \
	    (1ull << 5) | (1ull << 6) | (1ull << 8) | (1ull << 13) |           \
	    (1ull << 14) | (1ull << 15) | (1ull << 20) | (1ull << 24) |        \
	    (1ull << 26) | (1ull << 27) | (1ull << 62))

enum { MSR_R = 1, MSR_W = 2, MSR_AMD = 4, MSR_INTEL = 8, MSR_RW = 3 };

/* Constants: a write that is allowed is ignored. */
static const struct msr_const {
	uint32_t first, last;
	unsigned access;
	uint64_t val;
} msr_consts[] = {
	{ 0x0, 0x1, MSR_RW, 0 },	     /* P5_MC_ADDR, P5_MC_TYPE */
	{ 0x17, 0x17, MSR_RW, 0 },	     /* PLATFORM_ID */
	{ 0x2a, 0x2a, MSR_RW, 0 },	     /* EBL_CR_POWERON */
	{ 0x34, 0x34, MSR_R, 0 },	     /* SMI_COUNT */
	{ 0x3a, 0x3a, MSR_R, 1 },	     /* FEATURE_CONTROL: locked */
	{ 0x79, 0x79, MSR_RW, 0 },	     /* BIOS_UPDT_TRIG */
	{ MSR_BIOS_SIGN, MSR_BIOS_SIGN, MSR_W, 0 },
	{ 0xc1, 0xc8, MSR_RW, 0 },	     /* PMC0-7 */
	{ 0xce, 0xce, MSR_R, 10ull << 40 | 10 << 8 }, /* PLATFORM_INFO */
	{ 0xe2, 0xe2, MSR_RW, 0 },	     /* PKG_CST_CONFIG_CONTROL */
	{ 0xe7, 0xe8, MSR_RW, 0 },	     /* MPERF, APERF */
	{ MSR_MTRRCAP, MSR_MTRRCAP, MSR_R, MTRRCAP },
	{ 0x10a, 0x10a, MSR_R, ARCH_CAPABILITIES },
	{ 0x179, 0x179, MSR_R, 0 },	     /* MCG_CAP: no banks */
	{ 0x17a, 0x17b, MSR_RW, 0 },	     /* MCG_STATUS, MCG_CTL */
	{ 0x186, 0x18d, MSR_RW, 0 },	     /* PERFEVTSEL0-7 */
	{ 0x198, 0x19c, MSR_RW, 0 },	     /* PERF_STATUS/CTL, THERM_* */
	{ 0x1a2, 0x1a2, MSR_RW, 0 },	     /* TEMPERATURE_TARGET */
	{ 0x1a6, 0x1a7, MSR_RW, 0 },	     /* OFFCORE_RSP */
	{ 0x1ad, 0x1ae, MSR_RW, 0 },	     /* TURBO_RATIO_LIMIT */
	{ 0x1b0, 0x1b0, MSR_RW, 0 },	     /* ENERGY_PERF_BIAS */
	{ 0x1d9, 0x1d9, MSR_RW, 0 },	     /* DEBUGCTL */
	{ 0x1db, 0x1de, MSR_RW, 0 },	     /* LASTBRANCH, LASTINT */
	{ 0x309, 0x30c, MSR_RW, 0 },	     /* FIXED_CTR */
	{ 0x345, 0x345, MSR_R, 0 },	     /* PERF_CAPABILITIES */
	{ 0x38d, 0x390, MSR_RW, 0 },	     /* FIXED_CTR_CTRL, GLOBAL_* */
	{ 0x3f1, 0x3f1, MSR_RW, 0 },	     /* PEBS_ENABLE */
	/* RAPL as bhyve: units, and meters that stand still. */
	{ 0x606, 0x606, MSR_R, 0x000a1003 }, /* RAPL_POWER_UNIT */
	{ 0x611, 0x611, MSR_RW, 0 },	     /* PKG_ENERGY_STATUS */
	{ 0x619, 0x619, MSR_RW, 0 },	     /* DRAM_ENERGY_STATUS */
	{ 0x639, 0x639, MSR_RW, 0 },	     /* PP0_ENERGY_STATUS */
	{ 0x641, 0x641, MSR_RW, 0 },	     /* PP1_ENERGY_STATUS */
	{ 0xc24, 0xc24, MSR_RW | MSR_INTEL, 0 }, /* uncore, as bhyve */
	{ 0xd04, 0xd04, MSR_RW | MSR_INTEL, 0 },
	{ 0xc0010000, 0xc0010007, MSR_RW | MSR_AMD, 0 }, /* PERFEVSEL, CTR */
	{ 0xc0010010, 0xc0010010, MSR_RW | MSR_AMD, 0 }, /* SYSCFG */
	/* HWCR: TscFreqSel, bit 9 as bhyve says, TscInvariant. */
	{ 0xc0010015, 0xc0010015, MSR_RW | MSR_AMD, 0x01000010 | 1 << 9 },
	{ 0xc001001a, 0xc001001a, MSR_RW | MSR_AMD, 0 }, /* TOP_MEM */
	{ 0xc001001d, 0xc001001d, MSR_RW | MSR_AMD, 0 }, /* TOP_MEM2 */
	{ 0xc001001f, 0xc001001f, MSR_RW | MSR_AMD, 0 }, /* NB_CFG1 */
	{ 0xc0010055, 0xc0010055, MSR_RW | MSR_AMD, 0 }, /* INT_PENDING */
	{ 0xc0010061, 0xc001006b, MSR_RW | MSR_AMD, 0 }, /* P-states */
	{ 0xc0010112, 0xc0010113, MSR_RW | MSR_AMD, 0 }, /* SMM_ADDR, MASK */
	{ 0xc0010114, 0xc0010114, MSR_RW | MSR_AMD, 1 << 4 }, /* VM_CR */
	{ 0xc0010200, 0xc001020b, MSR_RW | MSR_AMD, 0 }, /* PERF_CTL, CTR */
	{ 0xc0011020, 0xc0011023, MSR_RW | MSR_AMD, 0 }, /* LS IC DC BU_CFG */
	/* DE_CFG: bit 0 is OpenBSD's erratum 721 check; LFENCE serializes. */
	{ 0xc0011029, 0xc0011029, MSR_RW | MSR_AMD, 3 },
	{ 0xc001102a, 0xc001102c, MSR_RW | MSR_AMD, 0 }, /* CU_CFG2.. */
};

static const struct state_field vmm_msrs_fields[] = {
	STATE_FIELD(struct vmm_msrs, pat, 1),
	STATE_FIELD(struct vmm_msrs, mtrr_def_type, 1),
	STATE_ARRAY(struct vmm_msrs, mtrr_fix, 1),
	STATE_ARRAY(struct vmm_msrs, mtrr_var, 1),
	STATE_FIELD(struct vmm_msrs, misc_enable, 1),
	STATE_FIELD(struct vmm_msrs, spec_ctrl, 1),
	STATE_FIELD(struct vmm_msrs, bios_sign, 1),
	STATE_END,
};
const struct state_table vmm_msrs_state = { "msrs", 1, vmm_msrs_fields };

void
vmm_msrs_reset(struct vmm_msrs *m)
{
	memset(m, 0, sizeof(*m));
	m->pat = PAT_RESET;
	m->misc_enable = MISC_ENABLE_RESET;
	/* Update revision 1 in the upper half; 0 would mean "none loaded". */
	m->bios_sign = 1ull << 32;
}

/* EBX of leaf 0 has the first four letters of the vendor. */
static bool
vendor_is_amd(const struct cpuid_policy *p)
{
	struct cpuid_dynamic dyn = { 0 };
	uint32_t r[4];

	cpuid_query(p, &dyn, 0, 0, r);
	return (memcmp(&r[1], "Auth", 4) == 0 ||
	    memcmp(&r[1], "Hygo", 4) == 0);
}

static bool
has_feature(const struct cpuid_policy *p, uint32_t leaf, unsigned reg,
    uint32_t bits)
{
	struct cpuid_dynamic dyn = { 0 };
	uint32_t r[4];

	cpuid_query(p, &dyn, leaf, 0, r);
	return ((r[reg] & bits) != 0);
}

/* Leaf 7.2 EDX, bit 4. */
static bool
has_bhi_ctrl(const struct cpuid_policy *p)
{
	struct cpuid_dynamic dyn = { 0 };
	uint32_t r[4];

	cpuid_query(p, &dyn, 7, 2, r);
	return ((r[3] & 1u << 4) != 0);
}

/* IBRS and STIBP, SSBD (Intel leaf 7 EDX); AMD's 0x80000008 EBX. */
static bool
has_spec_ctrl(const struct cpuid_policy *p)
{
	return (has_feature(p, 7, 3, 1u << 26 | 1u << 27 | 1u << 31) ||
	    has_feature(p, 0x80000008, 1, 1u << 14 | 1u << 15 | 1u << 24));
}

static bool
has_pred_cmd(const struct cpuid_policy *p)
{
	return (has_feature(p, 7, 3, 1u << 26) ||
	    has_feature(p, 0x80000008, 1, 1u << 12));
}

static const struct msr_const *
find_const(const struct cpuid_policy *p, uint32_t msr)
{
	const struct msr_const *c;

	for (size_t i = 0; i < sizeof(msr_consts) / sizeof(*c); i++) {
		c = &msr_consts[i];
		if (msr < c->first || msr > c->last)
			continue;
		if ((c->access & MSR_AMD) != 0 && !vendor_is_amd(p))
			continue;
		if ((c->access & MSR_INTEL) != 0 && vendor_is_amd(p))
			continue;
		return (c);
	}
	return (NULL);
}

/* A register of struct vmm_msrs that is read as it was written. */
static uint64_t *
storage(struct vmm_msrs *m, uint32_t msr)
{
	if (msr >= MSR_MTRR_PHYS && msr < MSR_MTRR_PHYS + 16)
		return (&m->mtrr_var[msr - MSR_MTRR_PHYS]);
	if (msr >= MSR_MTRR_FIX4K && msr < MSR_MTRR_FIX4K + 8)
		return (&m->mtrr_fix[3 + msr - MSR_MTRR_FIX4K]);
	switch (msr) {
	case MSR_MTRR_FIX64K:
		return (&m->mtrr_fix[0]);
	case MSR_MTRR_FIX16K:
	case MSR_MTRR_FIX16K + 1:
		return (&m->mtrr_fix[1 + msr - MSR_MTRR_FIX16K]);
	case MSR_PAT:
		return (&m->pat);
	case MSR_MTRR_DEF_TYPE:
		return (&m->mtrr_def_type);
	case MSR_MISC_ENABLE:
		return (&m->misc_enable);
	default:
		return (NULL);
	}
}

/* UC WC WT WP WB (SDM volume 3, 12.11.2.1). */
static bool
mtrr_type_valid(uint64_t type)
{
	return (type == 0 || type == 1 || (type >= 4 && type <= 6));
}

/* As above, and UC- (SDM volume 3, 12.12.2). */
static bool
pat_type_valid(uint64_t type)
{
	return (mtrr_type_valid(type) || type == 7);
}

static bool
bytes_valid(uint64_t val, bool (*valid)(uint64_t))
{
	for (unsigned i = 0; i < 64; i += 8)
		if (!valid((val >> i) & 0xff))
			return (false);
	return (true);
}

/* SDM volume 3, 12.11.2: reserved bits and memory types. */
static bool
storage_valid(const struct cpuid_policy *p, uint32_t msr, uint64_t val)
{
	uint64_t beyond = ~((1ull << p->maxphyaddr) - 1);

	if (msr == MSR_PAT)
		return (bytes_valid(val, pat_type_valid));
	if (msr == MSR_MTRR_DEF_TYPE)
		return ((val & ~0xcffull) == 0 && mtrr_type_valid(val & 0xff));
	if (msr >= MSR_MTRR_FIX64K && msr < MSR_MTRR_FIX4K + 8)
		return (bytes_valid(val, mtrr_type_valid));
	if (msr >= MSR_MTRR_PHYS && msr < MSR_MTRR_PHYS + 16) {
		if ((msr & 1) != 0)
			return ((val & (beyond | 0x7ff)) == 0);
		return ((val & (beyond | 0xf00)) == 0 &&
		    mtrr_type_valid(val & 0xff));
	}
	return (true);
}

int
vmm_msr_read(struct vmm_msrs *m, const struct cpuid_policy *p, uint32_t msr,
    uint64_t *val)
{
	const struct msr_const *c;
	uint64_t *reg;

	reg = storage(m, msr);
	if (reg != NULL) {
		*val = *reg;
		return (0);
	}
	switch (msr) {
	case MSR_SPEC_CTRL:
		if (!has_spec_ctrl(p))
			return (-EPERM);
		*val = m->spec_ctrl;
		return (0);
	case MSR_PRED_CMD: /* write-only */
	case MSR_FLUSH_CMD:
		return (-EPERM);
	case MSR_BIOS_SIGN:
		*val = m->bios_sign;
		return (0);
	case MSR_MISC_FEATURES: /* no CPUID faulting, see PLATFORM_INFO */
		*val = 0;
		return (0);
	default:
		break;
	}
	c = find_const(p, msr);
	if (c == NULL)
		return (-ENOENT);
	if ((c->access & MSR_R) == 0)
		return (-EPERM);
	*val = c->val;
	return (0);
}

int
vmm_msr_write(struct vmm_msrs *m, const struct cpuid_policy *p, uint32_t msr,
    uint64_t val)
{
	const struct msr_const *c;
	uint64_t *reg, valid;

	reg = storage(m, msr);
	if (reg != NULL) {
		if (!storage_valid(p, msr, val))
			return (-EPERM);
		if (msr == MSR_MISC_ENABLE)
			val = (*reg & ~MISC_ENABLE_WRITABLE) |
			    (val & MISC_ENABLE_WRITABLE);
		*reg = val;
		return (0);
	}
	switch (msr) {
	case MSR_SPEC_CTRL:
		valid = SPEC_CTRL_VALID;
		if (has_bhi_ctrl(p))
			valid |= SPEC_CTRL_BHI_DIS_S;
		if (!has_spec_ctrl(p) || (val & ~valid) != 0)
			return (-EPERM);
		m->spec_ctrl = val;
		return (0);
	case MSR_PRED_CMD:
		/* Nothing of the guest's is predicted across a switch that
		 * the host's own barriers would not also clear. */
		return (has_pred_cmd(p) && (val & ~1ull) == 0 ? 0 : -EPERM);
	case MSR_FLUSH_CMD:
		return (has_feature(p, 7, 3, 1u << 28) && (val & ~1ull) == 0 ?
			0 :
			-EPERM);
	case MSR_MISC_FEATURES:
		return (val == 0 ? 0 : -EPERM);
	default:
		break;
	}
	c = find_const(p, msr);
	if (c == NULL)
		return (-ENOENT);
	return ((c->access & MSR_W) != 0 ? 0 : -EPERM);
}
