/* SPDX-License-Identifier: BSD-2-Clause */
/* The keyboard and the mouse, after the IBM PS/2 Hardware Interface
 * Technical Reference, "Keyboards" and "Mouse". */
#include "chipset/i8042.h"

#define PS2_ACK    0xfau
#define PS2_RESEND 0xfeu
#define PS2_BAT    0xaau /* self-test passed */

void
ps2_put(struct ps2 *p, uint8_t byte)
{
	if (p->count == PS2_QUEUE)
		return;
	p->queue[(p->head + p->count) % PS2_QUEUE] = byte;
	p->count++;
}

void
ps2_clear(struct ps2 *p)
{
	p->head = p->count = 0;
}

/* The controller's translation of set 2 into set 1, a table of the
 * Technical Reference; higher codes are left as they are. */
uint8_t
ps2_translate(uint8_t code)
{
	/* clang-format off */
	static const uint8_t table[0x85] = {
		0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, /* 00 */
		0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
		0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, /* 10 */
		0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
		0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, /* 20 */
		0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
		0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, /* 30 */
		0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
		0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, /* 40 */
		0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
		0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, /* 50 */
		0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
		0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, /* 60 */
		0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
		0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, /* 70 */
		0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
		0x80, 0x81, 0x82, 0x41, 0x54,			/* 80 */
	};
	/* clang-format on */

	return (code < sizeof(table) ? table[code] : code);
}

void
ps2_kbd_reset(struct i8042 *k)
{
	ps2_clear(&k->kbd);
	k->kbd.command = 0;
	k->kbd.enabled = true;
	k->scanset = 2;
}

/* The argument of an earlier command. */
static void
ps2_kbd_argument(struct i8042 *k, uint8_t cmd, uint8_t val)
{
	ps2_put(&k->kbd, PS2_ACK);
	if (cmd != 0xf0)
		return; /* 0xed LEDs, 0xf3 typematic rate: nothing to do */
	if (val == 0)
		ps2_put(&k->kbd, k->scanset);
	else if (val <= 3)
		k->scanset = val;
}

void
ps2_kbd_write(struct i8042 *k, uint8_t val)
{
	struct ps2 *p = &k->kbd;
	uint8_t cmd = p->command;

	p->command = 0;
	/* A command in place of an argument takes over. */
	if (cmd != 0 && val < 0xed) {
		ps2_kbd_argument(k, cmd, val);
		return;
	}
	switch (val) {
	case 0xed:
	case 0xf0:
	case 0xf3:
		ps2_put(p, PS2_ACK);
		p->command = val;
		break;
	case 0xee: /* echo */
		ps2_put(p, 0xee);
		break;
	case 0xf2: /* MF2 keyboard */
		ps2_put(p, PS2_ACK);
		ps2_put(p, 0xab);
		ps2_put(p, 0x83);
		break;
	case 0xf4:
	case 0xf5:
	case 0xf6:
		ps2_clear(p);
		/* Default Disable, Enable, Set Default (goes on scanning). */
		p->enabled = val != 0xf5;
		ps2_put(p, PS2_ACK);
		break;
	case 0xfe: /* Resend */
		ps2_put(p, p->last);
		break;
	case 0xff:
		ps2_kbd_reset(k);
		ps2_put(p, PS2_ACK);
		ps2_put(p, PS2_BAT);
		break;
	case 0x00:
	case 0xf7: /* sets of key types of scan code set 3 */
	case 0xf8:
	case 0xf9:
	case 0xfa:
		ps2_put(p, PS2_ACK);
		break;
	default:
		ps2_put(p, PS2_RESEND);
		break;
	}
}

void
ps2_aux_reset(struct i8042 *k)
{
	ps2_clear(&k->aux);
	k->aux.command = 0;
	k->aux.enabled = false;
	k->mouse_rate = 100;
	k->mouse_resolution = 2; /* 4 counts per mm */
	k->mouse_scale2 = k->mouse_remote = k->mouse_wrap = false;
}

/* Status Request: what the mouse is set to. */
static void
ps2_aux_status(struct i8042 *k)
{
	ps2_put(&k->aux, (uint8_t)(k->mouse_remote << 6 | k->aux.enabled << 5 |
				   k->mouse_scale2 << 4));
	ps2_put(&k->aux, k->mouse_resolution);
	ps2_put(&k->aux, k->mouse_rate);
}

void
ps2_aux_write(struct i8042 *k, uint8_t val)
{
	struct ps2 *p = &k->aux;
	uint8_t cmd = p->command;

	/* Resend: the byte that was sent last, and no ACK. */
	if (val == 0xfe && !k->mouse_wrap) {
		ps2_clear(p);
		ps2_put(p, p->last);
		return;
	}
	p->command = 0;
	/* A new command makes what was queued void. */
	ps2_clear(p);
	if (k->mouse_wrap && val != 0xff && val != 0xec) {
		ps2_put(p, val);
		return;
	}
	ps2_put(p, PS2_ACK);
	if (cmd == 0xe8) {
		k->mouse_resolution = val & 3;
		return;
	}
	if (cmd == 0xf3) {
		k->mouse_rate = val;
		return;
	}
	switch (val) {
	case 0xe6:
	case 0xe7:
		k->mouse_scale2 = val == 0xe7;
		break;
	case 0xe8:
	case 0xf3:
		p->command = val;
		break;
	case 0xe9:
		ps2_aux_status(k);
		break;
	case 0xea:
	case 0xf0:
		k->mouse_remote = val == 0xf0;
		break;
	case 0xeb: /* Read Data: no movement */
		ps2_put(p, 0x08);
		ps2_put(p, 0);
		ps2_put(p, 0);
		break;
	case 0xec:
	case 0xee:
		k->mouse_wrap = val == 0xee;
		break;
	case 0xf2: /* a mouse with three buttons at most */
		ps2_put(p, 0x00);
		break;
	case 0xf4:
	case 0xf5:
		p->enabled = val == 0xf4;
		break;
	case 0xf6:
		ps2_aux_reset(k);
		ps2_put(p, PS2_ACK);
		break;
	case 0xff:
		ps2_aux_reset(k);
		ps2_put(p, PS2_ACK);
		ps2_put(p, PS2_BAT);
		ps2_put(p, 0x00);
		break;
	default:
		break;
	}
}
