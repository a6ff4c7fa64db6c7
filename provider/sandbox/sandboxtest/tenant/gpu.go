package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unsafe"
)

// processors tells of each of the graphics driver's device nodes whether it
// opens, and asks the driver for its version.
func processors() {
	nodes, err := filepath.Glob("/dev/nvidia*")
	check(err)
	fmt.Println("nodes", strings.Join(nodes, " "))
	for _, n := range nodes {
		f, err := os.OpenFile(n, os.O_RDWR, 0)
		if err != nil {
			fmt.Println("closed", err)
			continue
		}
		fmt.Println("opened", n)
		if n == "/dev/nvidiactl" {
			fmt.Println("driver", version(f))
		}
		_ = f.Close()
	}
}

// version asks the driver behind an open /dev/nvidiactl.
//
// Source: NVIDIA/open-gpu-kernel-modules, nv-ioctl.h: NV_ESC_CHECK_VERSION_STR
// and nv_ioctl_rm_api_version_t, with NV_RM_API_VERSION_CMD_QUERY.
func version(f *os.File) string {
	const escape = 210
	question := struct {
		command, reply uint32
		text           [64]byte
	}{command: '2'}
	size := unsafe.Sizeof(question)
	request := 3<<30 | size<<16 | 'F'<<8 | escape // _IOWR
	if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), request, uintptr(unsafe.Pointer(&question))); e != 0 {
		return e.Error()
	}
	text, _, _ := bytes.Cut(question.text[:], []byte{0})
	return string(text)
}
