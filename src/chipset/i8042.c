/* SPDX-License-Identifier: BSD-2-Clause */
/* After the IBM PS/2 Hardware Interface Technical Reference, "Keyboard and
 * Auxiliary Device Controller". */
#include <string.h>

#include "chipset/i8042.h"

#define STATUS_OBF      0x01u
#define STATUS_SYS      0x04u
#define STATUS_CMD      0x08u
#define STATUS_UNLOCKED 0x10u /* the key lock: Linux warns without */
#define STATUS_AUX      0x20u
#define CTR_INT_KBD     0x01u
#define CTR_INT_AUX     0x02u
#define CTR_SYS         0x04u
#define CTR_DIS_KBD     0x10u
#define CTR_DIS_AUX     0x20u
#define CTR_TRANSLATE   0x40u
#define OUT_RESET_N     0x01u
#define OUT_A20         0x02u
#define OUT_OBF         0x10u
#define OUT_OBF_AUX     0x20u
#define CODE_BREAK      0xf0u
#define TEST_KBD_CLOCK  0x01u
#define TEST_AUX_CLOCK  0x02u

#define K_ARRAY(m) STATE_ARRAY(struct i8042, m, 1)
#define K_FIELD(m) STATE_FIELD(struct i8042, m, 1)
static const struct state_field i8042_fields[] = {
    K_ARRAY(ram),
    K_FIELD(command),
    K_FIELD(outport),
    K_FIELD(obuf),
    K_FIELD(obf),
    K_FIELD(obf_aux),
    K_FIELD(last_was_command),
    K_FIELD(breaking),
    K_ARRAY(kbd.queue),
    K_FIELD(kbd.head),
    K_FIELD(kbd.count),
    K_FIELD(kbd.command),
    K_FIELD(kbd.enabled),
    K_FIELD(kbd.last),
    K_ARRAY(aux.queue),
    K_FIELD(aux.head),
    K_FIELD(aux.count),
    K_FIELD(aux.command),
    K_FIELD(aux.enabled),
    K_FIELD(aux.last),
    K_ARRAY(reply),
    K_FIELD(reply_aux),
    K_FIELD(nreplies),
    K_FIELD(scanset),
    K_FIELD(mouse_rate),
    K_FIELD(mouse_resolution),
    K_FIELD(mouse_scale2),
    K_FIELD(mouse_remote),
    K_FIELD(mouse_wrap),
    STATE_END,
};
const struct state_table i8042_state = {"i8042", 1, i8042_fields};

void
i8042_reset(struct i8042 *k)
{
	memset(k, 0, sizeof(*k));
	/* As a BIOS leaves it: self-test passed, interrupts on, translating.
	 */
	k->ram[0] = CTR_TRANSLATE | CTR_SYS | CTR_INT_AUX | CTR_INT_KBD;
	k->outport = OUT_RESET_N | OUT_A20;
	ps2_kbd_reset(k);
	ps2_aux_reset(k);
	k->kbd.enabled = true;
}

bool
i8042_a20(const struct i8042 *k)
{
	return ((k->outport & OUT_A20) != 0);
}

/* The interrupt that a full output buffer asks for. */
static unsigned
i8042_irq(const struct i8042 *k)
{
	if (!k->obf)
		return (0);
	if (k->obf_aux)
		return (k->ram[0] & CTR_INT_AUX ? I8042_IRQ_AUX : 0);
	return (k->ram[0] & CTR_INT_KBD ? I8042_IRQ_KBD : 0);
}

static uint8_t
ps2_get(struct ps2 *p)
{
	uint8_t byte = p->queue[p->head];

	p->head = (uint8_t)((p->head + 1) % PS2_QUEUE);
	p->count--;
	p->last = byte;
	return (byte);
}

/* The keyboard's next byte, translated; false if none came of it. */
static bool
i8042_fetch_kbd(struct i8042 *k, uint8_t *out)
{
	while (k->kbd.count > 0) {
		uint8_t byte = ps2_get(&k->kbd);

		if (!(k->ram[0] & CTR_TRANSLATE)) {
			*out = byte;
			return (true);
		}
		if (byte == CODE_BREAK) {
			k->breaking = true;
			continue;
		}
		*out = ps2_translate(byte);
		if (k->breaking)
			*out |= 0x80;
		k->breaking = false;
		return (true);
	}
	return (false);
}

/* Fills an empty output buffer: the controller before the mouse before the
 * keyboard. Returns the edge that comes with it. */
static unsigned
i8042_fill(struct i8042 *k)
{
	if (k->obf)
		return (0);
	if (k->nreplies > 0) {
		k->obuf = k->reply[0];
		k->obf_aux = k->reply_aux & 1;
		memmove(k->reply, k->reply + 1, sizeof(k->reply) - 1);
		k->reply_aux >>= 1;
		k->nreplies--;
		k->obf = true;
	} else if (k->aux.count > 0 && !(k->ram[0] & CTR_DIS_AUX)) {
		k->obuf = ps2_get(&k->aux);
		k->obf_aux = true;
		k->obf = true;
	} else if (!(k->ram[0] & CTR_DIS_KBD) && i8042_fetch_kbd(k, &k->obuf)) {
		k->obf_aux = false;
		k->obf = true;
	}
	return (i8042_irq(k));
}

static void
i8042_reply(struct i8042 *k, uint8_t val, bool aux)
{
	if (k->nreplies == sizeof(k->reply))
		return;
	if (aux)
		k->reply_aux |= (uint8_t)(1u << k->nreplies);
	k->reply[k->nreplies++] = val;
}

unsigned
i8042_read_data(struct i8042 *k, uint8_t *val)
{
	*val = k->obuf;
	k->obf = false;
	return (i8042_fill(k));
}

uint8_t
i8042_read_status(const struct i8042 *k)
{
	uint8_t val = STATUS_UNLOCKED;

	if (k->obf)
		val |= STATUS_OBF | (k->obf_aux ? STATUS_AUX : 0);
	if (k->ram[0] & CTR_SYS)
		val |= STATUS_SYS;
	if (k->last_was_command)
		val |= STATUS_CMD;
	return (val);
}

static unsigned
i8042_set_ram(struct i8042 *k, unsigned i, uint8_t val)
{
	unsigned before = i8042_irq(k), edge;

	k->ram[i] = val;
	edge = i8042_irq(k) & ~before;
	return (edge | i8042_fill(k));
}

/* The data byte of a controller command. */
static unsigned
i8042_argument(struct i8042 *k, uint8_t cmd, uint8_t val)
{
	switch (cmd) {
	case 0xd1:
		k->outport = val;
		return (val & OUT_RESET_N ? 0 : I8042_RESET);
	case 0xd2:
	case 0xd3:
		i8042_reply(k, val, cmd == 0xd3);
		return (i8042_fill(k));
	case 0xd4:
		/* Talking to a device turns its clock on. */
		k->ram[0] &= (uint8_t)~CTR_DIS_AUX;
		ps2_aux_write(k, val);
		return (i8042_fill(k));
	default: /* 0x60-0x7f */
		return (i8042_set_ram(k, cmd & 0x1f, val));
	}
}

unsigned
i8042_write_data(struct i8042 *k, uint8_t val)
{
	uint8_t cmd = k->command;

	k->last_was_command = false;
	k->command = 0;
	if (cmd != 0)
		return (i8042_argument(k, cmd, val));
	k->ram[0] &= (uint8_t)~CTR_DIS_KBD;
	ps2_kbd_write(k, val);
	return (i8042_fill(k));
}

unsigned
i8042_write_command(struct i8042 *k, uint8_t val)
{
	k->last_was_command = true;
	k->command = 0;
	if (val >= 0x20 && val <= 0x3f) {
		i8042_reply(k, k->ram[val & 0x1f], false);
		return (i8042_fill(k));
	}
	if (val >= 0x60 && val <= 0x7f) {
		k->command = val;
		return (0);
	}
	switch (val) {
	case 0xa4: /* no password */
		i8042_reply(k, 0xf1, false);
		break;
	case 0xa7:
		k->ram[0] |= CTR_DIS_AUX;
		break;
	case 0xa8:
		k->ram[0] &= (uint8_t)~CTR_DIS_AUX;
		break;
	case 0xa9: /* the ports' lines are good */
	case 0xab:
	case 0xc0: /* input port */
		i8042_reply(k, 0, false);
		break;
	case 0xaa:
		k->ram[0] |= CTR_SYS;
		i8042_reply(k, 0x55, false);
		break;
	case 0xad:
		k->ram[0] |= CTR_DIS_KBD;
		break;
	case 0xae:
		k->ram[0] &= (uint8_t)~CTR_DIS_KBD;
		break;
	case 0xd0:
		val = (uint8_t)(k->outport & ~(OUT_OBF | OUT_OBF_AUX));
		if (k->obf)
			val |= k->obf_aux ? OUT_OBF_AUX : OUT_OBF;
		i8042_reply(k, val, false);
		break;
	case 0xd1:
	case 0xd2:
	case 0xd3:
	case 0xd4:
		k->command = val;
		return (0);
	case 0xdd: /* A20 off and on, for clones that have these */
	case 0xdf:
		k->outport = (uint8_t)(val == 0xdf ? k->outport | OUT_A20
						   : k->outport & ~OUT_A20);
		break;
	case 0xe0: /* test inputs: both clocks are high unless held */
		i8042_reply(k,
		    (uint8_t)((k->ram[0] & CTR_DIS_KBD ? 0 : TEST_KBD_CLOCK) |
			      (k->ram[0] & CTR_DIS_AUX ? 0 : TEST_AUX_CLOCK)),
		    false);
		break;
	default:
		/* 0xf0-0xff pulse the output bits that are clear: bit 0 is
		 * the reset line. */
		if (val >= 0xf0 && !(val & OUT_RESET_N))
			return (I8042_RESET);
		break;
	}
	return (i8042_fill(k));
}

unsigned
i8042_key(struct i8042 *k, const uint8_t *codes, unsigned n)
{
	if (!k->kbd.enabled || n > (unsigned)(PS2_QUEUE - k->kbd.count))
		return (0);
	while (n-- > 0)
		ps2_put(&k->kbd, *codes++);
	return (i8042_fill(k));
}

unsigned
i8042_mouse(struct i8042 *k, int dx, int dy, unsigned buttons)
{
	uint8_t flags = (uint8_t)(0x08 | (buttons & 7));

	if (!k->aux.enabled || k->mouse_remote || k->mouse_wrap ||
	    k->aux.count > PS2_QUEUE - 3)
		return (0);
	/* Nine bits, two's complement, an overflow bit for what is more. */
	if (dx < 0)
		flags |= 0x10;
	if (dy < 0)
		flags |= 0x20;
	if (dx < -256 || dx > 255) {
		flags |= 0x40;
		dx = dx < 0 ? -256 : 255;
	}
	if (dy < -256 || dy > 255) {
		flags |= 0x80;
		dy = dy < 0 ? -256 : 255;
	}
	ps2_put(&k->aux, flags);
	ps2_put(&k->aux, (uint8_t)dx);
	ps2_put(&k->aux, (uint8_t)dy);
	return (i8042_fill(k));
}
