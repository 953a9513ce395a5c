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

#define MSR_CORE_THREAD_COUNT 0x35
#define MSR_SPEC_CTRL 0x48
#define MSR_PRED_CMD 0x49
#define MSR_BIOS_SIGN 0x8b
#define MSR_MTRRCAP 0xfe
#define MSR_ARCH_CAPABILITIES 0x10a
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

enum { MSR_R = 1, MSR_W = 2, MSR_RW = 3, MSR_AMD = 4, MSR_INTEL = 8 };

/* Constants: a write that is allowed is ignored. Without a vendor it is an
 * architectural MSR, or one that both have. */
#define I MSR_INTEL
#define A MSR_AMD
static const struct msr_const {
	uint32_t first, last;
	unsigned access;
	uint64_t val;
} msr_consts[] = {
	{ 0x0, 0x1, MSR_RW, 0 },	     /* P5_MC_ADDR, P5_MC_TYPE */
	{ 0x17, 0x17, MSR_R | I, 0 },	     /* PLATFORM_ID */
	{ 0x2a, 0x2a, MSR_RW | I, 0 },	     /* EBL_CR_POWERON */
	{ 0x34, 0x34, MSR_R | I, 0 },	     /* SMI_COUNT */
	{ 0x3a, 0x3a, MSR_R | I, 1 },	     /* FEATURE_CONTROL: locked */
	{ 0x79, 0x79, MSR_W | I, 0 },	     /* BIOS_UPDT_TRIG */
	{ MSR_BIOS_SIGN, MSR_BIOS_SIGN, MSR_W, 0 },
	{ 0xc1, 0xc8, MSR_RW | I, 0 }, /* PMC0-7 */
	{ 0xce, 0xce, MSR_R | I, 10ull << 40 | 10 << 8 }, /* PLATFORM_INFO */
	{ 0xe2, 0xe2, MSR_RW | I, 0 },	     /* PKG_CST_CONFIG_CONTROL */
	{ 0xe7, 0xe8, MSR_RW, 0 },	     /* MPERF, APERF */
	{ MSR_MTRRCAP, MSR_MTRRCAP, MSR_R, MTRRCAP },
	{ 0x179, 0x179, MSR_R, 0 },	     /* MCG_CAP: no banks, no CTL */
	{ 0x17a, 0x17a, MSR_RW, 0 }, /* MCG_STATUS */
	{ 0x186, 0x18d, MSR_RW | I, 0 }, /* PERFEVTSEL0-7 */
	{ 0x198, 0x19c, MSR_RW | I, 0 },     /* PERF_STATUS/CTL, THERM_* */
	{ 0x1a2, 0x1a2, MSR_RW | I, 0 },     /* TEMPERATURE_TARGET */
	{ 0x1a6, 0x1a7, MSR_RW | I, 0 },     /* OFFCORE_RSP */
	{ 0x1ad, 0x1ae, MSR_RW | I, 0 },     /* TURBO_RATIO_LIMIT */
	{ 0x1b0, 0x1b0, MSR_RW | I, 0 },     /* ENERGY_PERF_BIAS */
	{ 0x1d9, 0x1d9, MSR_RW, 0 },	     /* DEBUGCTL */
	{ 0x1db, 0x1de, MSR_RW, 0 },	     /* LASTBRANCH, LASTINT */
	{ 0x309, 0x30c, MSR_RW | I, 0 }, /* FIXED_CTR */
	{ 0x345, 0x345, MSR_R | I, 0 },	     /* PERF_CAPABILITIES */
	{ 0x38d, 0x390, MSR_RW | I, 0 }, /* FIXED_CTRL, GLOBAL */
	{ 0x3f1, 0x3f1, MSR_RW | I, 0 }, /* PEBS_ENABLE */
	/* RAPL as bhyve: units, and meters that stand still. */
	{ 0x606, 0x606, MSR_R | I, 0x000a1003 }, /* RAPL_POWER_UNIT */
	{ 0x611, 0x611, MSR_R | I, 0 },	     /* PKG_ENERGY_STATUS */
	{ 0x619, 0x619, MSR_R | I, 0 },	     /* DRAM_ENERGY_STATUS */
	{ 0x639, 0x639, MSR_R | I, 0 },	     /* PP0_ENERGY_STATUS */
	{ 0x641, 0x641, MSR_R | I, 0 },	     /* PP1_ENERGY_STATUS */
	{ 0xc24, 0xc24, MSR_RW | I, 0 },     /* uncore, as bhyve */
	{ 0xd04, 0xd04, MSR_RW | I, 0 },
	{ 0xc0010000, 0xc0010007, MSR_RW | A, 0 }, /* PERFEVSEL, CTR */
	{ 0xc0010020, 0xc0010020, MSR_W | A, 0 }, /* PATCH_LOADER */
	{ 0xc0010055, 0xc0010055, MSR_RW | A, 0 }, /* INT_PENDING */
	{ 0xc0010058, 0xc0010058, MSR_RW | A, 0 }, /* MMIO_CFG_BASE: off */
	{ 0xc0010061, 0xc0010061, MSR_R | A, 0 },  /* PSTATE_CUR_LIMIT */
	{ 0xc0010062, 0xc0010062, MSR_RW | A, 0 }, /* PSTATE_CTL */
	{ 0xc0010063, 0xc0010063, MSR_R | A, 0 },  /* PSTATE_STATUS */
	{ 0xc0010064, 0xc001006b, MSR_RW | A, 0 }, /* PSTATE0-7 */
	{ 0xc0010111, 0xc0010113, MSR_RW | A, 0 }, /* SMM_BASE, ADDR, MASK */
	/* VM_CR: no SVM, and locked so. */
	{ 0xc0010114, 0xc0010114, MSR_RW | A, 1 << 4 | 1 << 3 },
	{ 0xc0010140, 0xc0010141, MSR_R | A, 0 },  /* OSVW: no errata */
	{ 0xc0010200, 0xc001020b, MSR_RW | A, 0 }, /* PERF_CTL, CTR */
	{ 0xc0010299, 0xc0010299, MSR_R | A, 0x000a1003 }, /* RAPL_PWR_UNIT */
	{ 0xc001029a, 0xc001029b, MSR_R | A, 0 },  /* core, package energy */
	{ 0xc0011020, 0xc0011023, MSR_RW | A, 0 }, /* LS IC DC BU_CFG */
	/* DE_CFG: bit 0 is OpenBSD's erratum 721 check; LFENCE serializes. */
	{ 0xc0011029, 0xc0011029, MSR_RW | A, 3 },
	{ 0xc001102a, 0xc001102c, MSR_RW | A, 0 }, /* CU_CFG2.. */
};
#undef I
#undef A

/*
 * AMD's configuration registers: bits that are kept, the others read as at
 * reset. APM volume 2, appendix A, and 3.2 (HWCR), 7.9 (SYSCFG, TOP_MEM).
 */
static const struct msr_kept {
	uint32_t msr;
	uint64_t reset, writable;
	bool reserved_gp; /* other bits are #GP, not ignored */
} msr_kept[] = {
	/* MtrrFixDramEn MtrrVarDramEn MtrrTom2En Tom2ForceMemTypeWB; not
	 * MtrrFixDramModEn, as the fixed ranges have no RdMem and WrMem. */
	{ 0xc0010010, 0, 1 << 18 | 7 << 20, false },
	/* HWCR: TscFreqSel, bit 9 as bhyve says; McStatusWrEn. */
	{ 0xc0010015, 0x01000000 | 1 << 9 | 1 << 4, 1 << 18, false },
	{ 0xc001001a, 0, 0x000fffffff800000, true }, /* TOP_MEM */
	{ 0xc001001d, 0, 0x000fffffff800000, true }, /* TOP_MEM2 */
	/* NB_CFG: EnableCf8ExtCfg, InitApicIdCpuIdLo. */
	{ 0xc001001f, 0, 1ull << 46 | 1ull << 54, false },
};
_Static_assert(sizeof(msr_kept) / sizeof(msr_kept[0]) == VMM_MSRS_KEPT,
    "one slot for each");

static const struct state_field vmm_msrs_fields[] = {
	STATE_FIELD(struct vmm_msrs, pat, 1),
	STATE_FIELD(struct vmm_msrs, mtrr_def_type, 1),
	STATE_ARRAY(struct vmm_msrs, mtrr_fix, 1),
	STATE_ARRAY(struct vmm_msrs, mtrr_var, 1),
	STATE_FIELD(struct vmm_msrs, misc_enable, 1),
	STATE_FIELD(struct vmm_msrs, spec_ctrl, 1),
	STATE_FIELD(struct vmm_msrs, bios_sign, 1),
	STATE_ARRAY(struct vmm_msrs, kept, 1),
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
	for (size_t i = 0; i < VMM_MSRS_KEPT; i++)
		m->kept[i] = msr_kept[i].reset;
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

/* The index of one of AMD's registers; -1: none. */
static int
find_kept(const struct cpuid_policy *p, uint32_t msr)
{
	for (size_t i = 0; i < VMM_MSRS_KEPT; i++)
		if (msr_kept[i].msr == msr)
			return (vendor_is_amd(p) ? (int)i : -1);
	return (-1);
}

static int
write_kept(
    struct vmm_msrs *m, const struct cpuid_policy *p, unsigned i, uint64_t val)
{
	const struct msr_kept *k = &msr_kept[i];
	uint64_t beyond = ~((1ull << p->maxphyaddr) - 1);

	if (k->reserved_gp && (val & (~k->writable | beyond)) != 0)
		return (-EPERM);
	m->kept[i] = (k->reset & ~k->writable) | (val & k->writable);
	return (0);
}

/* IA32_CORE_THREAD_COUNT: threads and cores of the package, as leaf 0xb. */
static uint64_t
core_thread_count(const struct cpuid_policy *p)
{
	struct cpuid_dynamic dyn = { 0 };
	uint32_t smt[4], core[4];

	cpuid_query(p, &dyn, 0xb, 0, smt);
	cpuid_query(p, &dyn, 0xb, 1, core);
	return ((uint64_t)(core[1] / (smt[1] == 0 ? 1 : smt[1])) << 16 |
	    core[1]);
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
	int i;

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
		/* AMD's PATCH_LEVEL has the revision in the low half. */
		if (vendor_is_amd(p))
			*val >>= 32;
		return (0);
	case MSR_MISC_FEATURES: /* no CPUID faulting, see PLATFORM_INFO */
		*val = 0;
		return (vendor_is_amd(p) ? -ENOENT : 0);
	case MSR_ARCH_CAPABILITIES:
		*val = ARCH_CAPABILITIES;
		return (has_feature(p, 7, 3, 1u << 29) ? 0 : -EPERM);
	case MSR_CORE_THREAD_COUNT:
		*val = core_thread_count(p);
		return (vendor_is_amd(p) ? -ENOENT : 0);
	default:
		break;
	}
	i = find_kept(p, msr);
	if (i >= 0) {
		*val = m->kept[i];
		return (0);
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
	int i;

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
		if (vendor_is_amd(p))
			return (-ENOENT);
		return (val == 0 ? 0 : -EPERM);
	case MSR_ARCH_CAPABILITIES: /* read-only, or not there */
		return (-EPERM);
	case MSR_CORE_THREAD_COUNT:
		return (vendor_is_amd(p) ? -ENOENT : -EPERM);
	default:
		break;
	}
	i = find_kept(p, msr);
	if (i >= 0)
		return (write_kept(m, p, (unsigned)i, val));
	c = find_const(p, msr);
	if (c == NULL)
		return (-ENOENT);
	return ((c->access & MSR_W) != 0 ? 0 : -EPERM);
}
