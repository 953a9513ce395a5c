# lhyve: a small front to Meson.
BUILD ?= build
