#!/bin/sh
# The sandboxes' tests on a machine with a graphics processor, on which nothing
# can be compiled in Go nor installed.
#
#   gpu.sh build [DIR]   on a machine with Go, gcc, nft, mkfs.ext4 and runc:
#                        puts all that is needed into DIR (bin/gpu)
#   gpu.sh run [DIR]     as root on the other one, with a copy of DIR
#
# It needs Linux on x86-64 with control groups, network namespaces and nftables,
# the graphics driver with its libraries, gcc, and for one test nvcc. The tests
# work in namespaces of their own and change nothing of the machine, but that
# runc's library is put into /usr/local/lib if runc is missing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

build() {
	root=$(cd "$here/../.." && pwd)
	dir=${1:-$root/bin/gpu}
	mkdir -p "$dir/tools/lib"
	cd "$root"
	make warden
	export CGO_ENABLED=0
	for engine in gvisor runc; do
		go test -c -trimpath -ldflags '-s -w' -o "$dir/$engine.test" "./provider/$engine"
	done
	go build -trimpath -ldflags '-s -w' -o "$dir/tenant" ./provider/sandbox/sandboxtest/tenant
	for program in nft mkfs.ext4; do
		path=$(PATH="$PATH:/usr/sbin:/sbin" command -v "$program")
		cp -L "$path" "$dir/tools/lib/$program"
		ldd "$path" | grep -o '/[^ ]*' | xargs cp -Lt "$dir/tools/lib"
		# With the C library that it was built with, whatever the other machine has.
		printf '%s\n' '#!/bin/sh' 'd=$(dirname "$(readlink -f "$0")")/lib' \
			"exec \"\$d/ld-linux-x86-64.so.2\" --library-path \"\$d\" \"\$d/$program\" \"\$@\"" >"$dir/tools/$program"
		chmod +x "$dir/tools/$program"
	done
	mkdir -p "$dir/runc"
	runc=$(PATH="$PATH:/usr/sbin" command -v runc)
	cp -L "$runc" "$dir/runc/"
	ldd "$runc" | grep -o '/[^ ]*libseccomp[^ ]*' | xargs cp -Lt "$dir/runc"
	cp "$here/gpu.sh" "$dir/"
	du -sh "$dir"
}

# shown prints a command and what it answers, and goes on if it fails.
shown() {
	echo "+ $*"
	"$@" 2>&1 | head -40 || true
}

run() {
	dir=$(cd "${1:-$here}" && pwd)
	export PATH="$dir/tools:$PATH:/usr/sbin:/sbin:/usr/local/nvidia/bin:/usr/local/cuda/bin"
	export PLEXUS_TENANT="$dir/tenant" PLEXUS_SANDBOX=1
	shown uname -a
	shown stat -fc %T /sys/fs/cgroup
	shown cat /sys/fs/cgroup/cgroup.controllers
	shown sh -c 'ls -l /dev/nvidia*; ls -l /usr/local/nvidia /usr/local/nvidia/* | cut -c1-120; ls /etc/cdi /var/run/cdi'
	shown sh -c 'cat /proc/driver/nvidia/version; cat /proc/driver/nvidia/gpus/*/information'
	shown sh -c 'for d in /sys/bus/pci/devices/*; do echo "$d $(cat $d/vendor $d/device $d/class | tr "\n" " ")"; done | grep 0x10de'
	shown nvidia-smi --query-gpu=index,uuid,name,memory.total,pci.bus_id --format=csv,noheader,nounits
	shown sh -c 'command -v gcc nvcc runc nft mkfs.ext4; nft --version; df -h /tmp; free -m'
	if [ -c /dev/nvidiactl ]; then export PLEXUS_GPU=1; fi
	if ! command -v runc >/dev/null; then
		cp "$dir"/runc/libseccomp* /usr/local/lib/ && ldconfig || true
		PATH="$PATH:$dir/runc"
	fi
	failed=
	for test in 'gvisor GPUs 90' 'gvisor Conforms 120' 'runc GPUs 60' 'runc Conforms 90'; do
		set -- $test
		echo "=== $1 $2"
		began=$(date +%s)
		(cd /tmp && "$dir/$1.test" -test.v -test.timeout "$3s" -test.run "^Test$2\$" 2>&1) >"/tmp/$1.$2.log" && ok=1 || ok=0
		tail -c 60000 "/tmp/$1.$2.log"
		echo "=== $1 $2: $([ $ok = 1 ] && echo passed || echo FAILED) after $(($(date +%s) - began)) s"
		[ $ok = 1 ] || failed="$failed $1/$2"
	done
	[ -z "$failed" ] || { echo "failed:$failed"; exit 1; }
	echo "all passed"
}

mode=${1:-}
[ $# -eq 0 ] || shift
case $mode in
build) build "$@" ;;
run) run "$@" ;;
*) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
