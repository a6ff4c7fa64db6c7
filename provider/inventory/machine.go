package inventory

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Machine measures this machine: all of its cores and memory, and what is free
// on the disk that holds dir, as storage of the class "".
func Machine(dir string) (Amounts, error) {
	memory, err := totalMemory("/proc/meminfo")
	if err != nil {
		return Amounts{}, err
	}
	disk, err := FreeDisk(dir)
	if err != nil {
		return Amounts{}, err
	}
	return Amounts{
		CPU: int64(runtime.NumCPU()) * 1000, Memory: memory, Storage: map[string]int64{"": disk},
	}, nil
}

// Sellable returns what of a whole machine a provider can promise: nine tenths
// of its memory but at least 512 MiB less than all, and four fifths of its
// disk. The rest is the system's own and images'.
func (a Amounts) Sellable() Amounts {
	a.Memory = max(min(a.Memory/10*9, a.Memory-512<<20), 0)
	a.Storage = map[string]int64{"": a.Storage[""] / 5 * 4}
	return a
}

// FreeDisk returns the bytes that may still be written on the disk that holds
// dir.
func FreeDisk(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("disk of %s: %w", dir, err)
	}
	return int64(s.Bavail) * s.Bsize, nil
}

// totalMemory reads MemTotal of a file like /proc/meminfo.
func totalMemory(file string) (int64, error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) >= 2 && fields[0] == "MemTotal:" {
			kilobytes, err := strconv.ParseInt(fields[1], 10, 53)
			if err != nil {
				return 0, fmt.Errorf("%s: MemTotal: %w", file, err)
			}
			return kilobytes << 10, nil
		}
	}
	return 0, fmt.Errorf("%s has no line MemTotal", file)
}
