/* SPDX-License-Identifier: BSD-2-Clause */
/* Opens files and block devices, and finds out what they can do. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "backend/block/file_priv.h"
#include "base/log.h"
#include "base/mevent.h"

#define SIZE_MAX_BYTES (UINT64_C(1) << 62)

int
file_size(int fd, uint64_t *size)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return (-errno);
	*size = (uint64_t)st.st_size;
	if (S_ISBLK(st.st_mode) && ioctl(fd, BLKGETSIZE64, size) != 0)
		return (-errno);
	if (*size > SIZE_MAX_BYTES)
		return (-EFBIG);
	return (0);
}

static bool
power_of_two(uint32_t n)
{
	return (n != 0 && (n & (n - 1)) == 0);
}

/* Sector sizes: what the host says, then what the user wants. */
static int
file_geometry(
    struct file *f, const struct block_config *cfg, struct block_error *err)
{
	struct block_info *info = &f->blk.info;
	unsigned phys = 0;
	int sector = 512, offset = 0;
	bool dev;
	struct stat st;

	if (fstat(f->fd, &st) != 0)
		return (block_fail(err, -errno, "%s: cannot be looked at: %s",
		    cfg->path, strerror(errno)));
	dev = S_ISBLK(st.st_mode);
	if (dev) {
		if (ioctl(f->fd, BLKSSZGET, &sector) != 0)
			sector = 512;
		if (ioctl(f->fd, BLKPBSZGET, &phys) != 0)
			phys = 0;
		if (ioctl(f->fd, BLKALIGNOFF, &offset) != 0 || offset < 0)
			offset = 0;
	} else {
		phys = (unsigned)st.st_blksize;
	}
	info->logical = cfg->logical != 0 ? cfg->logical : (uint32_t)sector;
	info->physical = cfg->physical != 0 ? cfg->physical : phys;
	/* What is no power of two comes from a file system that is one of a
	 * kind; who says one size means both. */
	if (cfg->logical != 0 && cfg->physical == 0)
		info->physical = cfg->logical;
	if (cfg->physical == 0 &&
	    (!power_of_two(info->physical) || info->physical < info->logical))
		info->physical = info->logical;
	info->offset = (uint32_t)offset;
	if (!power_of_two(info->logical) || !power_of_two(info->physical) ||
	    info->logical < 512 || info->physical < info->logical ||
	    (dev && info->logical % (unsigned)sector != 0))
		return (block_fail(err, -EINVAL,
		    "%s: sector sizes %u/%u are not possible; they are powers "
		    "of two, at least %d, the second not below the first",
		    cfg->path, info->logical, info->physical,
		    dev ? sector : 512));
	info->discard_granularity = info->physical;
	return (0);
}

/* What O_DIRECT asks of memory and offsets here. */
static void
file_alignment(struct file *f)
{
	struct stat st;
	int sector;
#ifdef STATX_DIOALIGN
	struct statx sx;

	if (statx(f->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) == 0 &&
	    (sx.stx_mask & STATX_DIOALIGN) != 0 &&
	    power_of_two(sx.stx_dio_mem_align) &&
	    power_of_two(sx.stx_dio_offset_align)) {
		f->mem_align = sx.stx_dio_mem_align;
		f->off_align = sx.stx_dio_offset_align;
		return;
	}
#endif
	f->mem_align = f->off_align = 4096;
	if (fstat(f->fd, &st) == 0 && S_ISBLK(st.st_mode) &&
	    ioctl(f->fd, BLKSSZGET, &sector) == 0 &&
	    power_of_two((uint32_t)sector))
		f->mem_align = f->off_align = (uint32_t)sector;
}

/* A second way to the same file, past or through the page cache. */
static int
reopen(int fd, int flags)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fd = open(path, flags | O_CLOEXEC);
	return (fd < 0 ? -errno : fd);
}

static int
file_direct(
    struct file *f, const struct block_config *cfg, struct block_error *err)
{
	int flags =
	    (cfg->readonly ? O_RDONLY : O_RDWR) | (cfg->sync ? O_DSYNC : 0);
	int fd;

	fd = reopen(f->fd, flags | O_DIRECT);
	if (fd < 0)
		return (block_fail(err, fd,
		    "%s: the file system cannot do without its cache: %s; "
		    "leave out nocache",
		    cfg->path, strerror(-fd)));
	f->cached_fd = f->fd;
	f->fd = fd;
	f->direct = true;
	file_alignment(f);
	return (0);
}

static void
file_wake(void *arg)
{
	block_wake(&((struct file *)arg)->blk);
}

static void
file_tick(void *arg, unsigned ready)
{
	struct file *f = arg;
	uint64_t n;

	(void)ready;
	(void)!read(f->timer_fd, &n, sizeof(n));
	block_refresh(&f->blk);
}

/* Nothing tells of a size that changes but not of each write too. */
static int
file_watch(struct file *f, struct mevent_loop *loop)
{
	const struct itimerspec second = {{1, 0}, {1, 0}};

	f->timer_fd =
	    timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (f->timer_fd < 0 ||
	    timerfd_settime(f->timer_fd, 0, &second, NULL) != 0)
		return (-errno);
	return (mevent_add(
	    loop, f->timer_fd, MEVENT_READ, file_tick, f, &f->timer_ev));
}

static int
file_engine(struct file *f, const struct block_config *cfg)
{
	int error = -ENOSYS;

	if (cfg->aio != BLOCK_AIO_THREADS)
		error = aio_uring_create(&f->aio, cfg->loop, file_wake, f);
	if (error != 0 && cfg->aio == BLOCK_AIO_AUTO) {
		log_info("%s: no io_uring: %s; threads instead", cfg->path,
		    strerror(-error));
		error = -ENOSYS;
	}
	if (error != 0 && cfg->aio != BLOCK_AIO_URING)
		error = aio_threads_create(&f->aio, cfg->loop, file_wake, f);
	return (error);
}

int
block_file_fd(struct block **out, int fd, const struct block_config *cfg,
    struct block_error *err)
{
	struct file *f;
	uint64_t size;
	int error;

	error = file_create(&f);
	if (error != 0) {
		(void)close(fd);
		return (block_fail(err, error, "%s: no memory", cfg->path));
	}
	f->fd = f->cached_fd = fd;
	f->blk.info.readonly = cfg->readonly;
	/* A limit of the file's size is an error of write(), not our end. */
	(void)signal(SIGXFSZ, SIG_IGN);
	/* Unless a system call says otherwise. */
	f->blk.info.discard = !cfg->readonly && !cfg->nodelete;
	(void)snprintf(
	    f->blk.info.where, sizeof(f->blk.info.where), "%s", cfg->path);
	error = file_geometry(f, cfg, err);
	if (error == 0)
		error = block_lock(fd, cfg->path, cfg->readonly, err);
	if (error == 0 && cfg->nocache)
		error = file_direct(f, cfg, err);
	if (error != 0)
		goto fail;
	error = file_size(fd, &size);
	if (error == 0)
		error = file_engine(f, cfg);
	if (error == 0)
		error = file_watch(f, cfg->loop);
	if (error != 0) {
		(void)block_fail(err, error, "%s: cannot be used: %s%s",
		    cfg->path, strerror(-error),
		    cfg->aio == BLOCK_AIO_URING ? "; use aio=threads" : "");
		goto fail;
	}
	f->blk.info.size = size - size % f->blk.info.logical;
	*out = &f->blk;
	return (0);
fail:
	file_destroy(&f->blk);
	return (error);
}

int
block_file_open(
    struct block **out, const struct block_config *cfg, struct block_error *err)
{
	struct block_config mine = *cfg;
	struct stat st;
	int fd, flags = O_CLOEXEC | (cfg->sync ? O_DSYNC : 0);

	if (stat(cfg->path, &st) == 0) {
		/* To open a pipe could take forever. */
		if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
			return (block_fail(err, -EINVAL,
			    "%s: neither a file nor a block device; use one "
			    "of these, or nbd:",
			    cfg->path));
		/* A device that is mounted has a user already. */
		if (!cfg->readonly && S_ISBLK(st.st_mode))
			flags |= O_EXCL;
	}
	fd = open(cfg->path, flags | (cfg->readonly ? O_RDONLY : O_RDWR));
	if (fd < 0 && !cfg->readonly && (errno == EACCES || errno == EROFS)) {
		fd = open(cfg->path, (flags & ~O_EXCL) | O_RDONLY);
		mine.readonly = true;
		if (fd >= 0)
			log_warn("%s: opened read-only: it may not be written",
			    cfg->path);
	}
	if (fd < 0)
		return (block_fail(err, -errno, "%s: cannot be opened: %s%s",
		    cfg->path, strerror(errno),
		    errno == EBUSY    ? "; unmount it first"
		    : errno == ENOENT ? "; create it first, as by truncate(1)"
				      : ""));
	return (block_file_fd(out, fd, &mine, err));
}
