// Command tenant is what the conformance kit runs inside containers: a server
// that answers, and programs that try what limits forbid. Each prints one line
// that says how far it got.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: tenant MODE [ARGUMENT …]")
		os.Exit(2)
	}
	arg := func(n int) string {
		if len(os.Args) <= n {
			return ""
		}
		return os.Args[n]
	}
	switch mode := os.Args[1]; mode {
	case "serve":
		serve(arg(2))
	case "info":
		info()
	case "exit":
		os.Exit(number(arg(2)))
	case "echo":
		fmt.Println(strings.Join(os.Args[2:], " "))
	case "say":
		say(number(arg(2)), number(arg(3)))
	case "sleep":
		time.Sleep(time.Duration(number(arg(2))) * time.Second)
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("ignoring")
		time.Sleep(time.Hour)
	case "cat":
		_, _ = io.Copy(os.Stdout, os.Stdin)
	case "tty":
		terminal()
	case "memory":
		memory(number(arg(2)))
	case "forks":
		forks(number(arg(2)))
	case "fill":
		fill(arg(2), number(arg(3)))
	case "cpu":
		burn(number(arg(2)), number(arg(3)))
	case "dial":
		dial(os.Args[2:])
	case "send":
		send(arg(2), number(arg(3)))
	case "resolve":
		addresses, err := net.DefaultResolver.LookupHost(context.Background(), arg(2))
		fmt.Println(addresses, err)
	case "write":
		check(os.WriteFile(arg(2), []byte(arg(3)), 0o644))
	case "read":
		text, err := os.ReadFile(arg(2))
		check(err)
		fmt.Println(string(text))
	case "escape":
		escape()
	case "gpu":
		processors()
	case "env":
		fmt.Println(os.Getenv(arg(2)))
	default:
		fmt.Fprintln(os.Stderr, "unknown mode", mode)
		os.Exit(2)
	}
}

func check(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	return n
}

// serve answers HTTP on port 8080 until it is told to stop.
func serve(greeting string) {
	fmt.Println("serving", greeting)
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		fmt.Fprintf(w, "%s %s %s", greeting, r.URL.Path, body)
	})
	go func() { check(http.ListenAndServe(":8080", nil)) }()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
	fmt.Println("stopping")
}

func info() {
	host, _ := os.Hostname()
	dir, _ := os.Getwd()
	fmt.Printf("uid=%d gid=%d pid=%d host=%s dir=%s greeting=%s\n", os.Getuid(), os.Getgid(), os.Getpid(), host, dir, os.Getenv("GREETING"))
}

// say prints lines, numbered, of a given length.
func say(lines, length int) {
	pad := strings.Repeat("x", length)
	for i := range lines {
		fmt.Println(i, pad)
	}
	fmt.Fprintln(os.Stderr, "said", lines)
}

// terminal prints its size, then again when it changes.
func terminal() {
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	size := func() [4]uint16 {
		var s [4]uint16
		if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, 1, syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&s))); e != 0 {
			check(e)
		}
		return s
	}
	was := size()
	fmt.Printf("size %dx%d\n", was[0], was[1])
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		select {
		case <-changed:
		case <-time.After(50 * time.Millisecond):
		}
		if now := size(); now != was {
			fmt.Printf("size %dx%d\n", now[0], now[1])
			return
		}
	}
}

var hold [][]byte

// memory takes MiB after MiB, touching each page.
func memory(mib int) {
	for i := range mib {
		block := make([]byte, 1<<20)
		for at := 0; at < len(block); at += 4096 {
			block[at] = byte(i)
		}
		hold = append(hold, block)
		if i%16 == 15 {
			fmt.Println("holding", i+1)
		}
	}
	fmt.Println("took all")
}

// forks starts sleeping copies of itself until it cannot.
func forks(most int) {
	for i := range most {
		if err := exec.Command("/proc/self/exe", "sleep", "60").Start(); err != nil {
			fmt.Println("started", i, "then", err)
			time.Sleep(time.Hour) // and keep them
		}
		if i%50 == 49 {
			fmt.Println("so far", i+1)
		}
	}
	fmt.Println("started all")
}

// fill writes MiB after MiB to a file.
func fill(path string, mib int) {
	f, err := os.Create(path)
	check(err)
	block := bytes.Repeat([]byte{0x5a}, 1<<20)
	for i := range mib {
		if _, err := f.Write(block); err != nil {
			fmt.Println("wrote", i, "then", errors.Unwrap(err))
			return
		}
	}
	if err := f.Sync(); err != nil {
		fmt.Println("wrote", mib, "then", errors.Unwrap(err))
		return
	}
	fmt.Println("wrote all")
}

// burn hashes with some threads for some seconds.
func burn(threads, seconds int) {
	runtime.GOMAXPROCS(threads)
	end := time.Now().Add(time.Duration(seconds) * time.Second)
	done := make(chan int)
	for range threads {
		go func() {
			var n int
			var sum [32]byte
			for time.Now().Before(end) {
				for range 1000 {
					sum = sha256.Sum256(sum[:])
				}
				n += 1000
			}
			done <- n
		}()
	}
	total := 0
	for range threads {
		total += <-done
	}
	fmt.Println("hashes", total)
}

// dial tells of each address whether it can be reached.
func dial(addresses []string) {
	type answer struct {
		n    int
		text string
	}
	answers := make(chan answer)
	for i, a := range addresses {
		go func() {
			c, err := net.DialTimeout("tcp", a, 2*time.Second)
			if err != nil {
				answers <- answer{i, a + " closed: " + err.Error()}
				return
			}
			_ = c.Close()
			answers <- answer{i, a + " open"}
		}()
	}
	texts := make([]string, len(addresses))
	for range addresses {
		a := <-answers
		texts[a.n] = a.text
	}
	fmt.Println(strings.Join(texts, "\n"))
}

// send writes MiB to an address and tells how long it took.
func send(address string, mib int) {
	c, err := net.Dial("tcp", address)
	check(err)
	begin := time.Now()
	block := make([]byte, 1<<20)
	for range mib {
		_, err := c.Write(block)
		check(err)
	}
	check(c.(*net.TCPConn).CloseWrite())
	_, _ = io.Copy(io.Discard, c) // until the other side has read all
	fmt.Println("milliseconds", time.Since(begin).Milliseconds())
}

// escape tries what a container must not be able to do.
func escape() {
	attempt := func(name string, err error) {
		if err == nil {
			fmt.Println("ESCAPED:", name)
		}
	}
	_, err := os.ReadFile("/proc/kcore")
	attempt("kcore", err)
	attempt("sysrq", os.WriteFile("/proc/sysrq-trigger", []byte("h"), 0))
	attempt("core pattern", os.WriteFile("/proc/sys/kernel/core_pattern", []byte("|/x"), 0))
	attempt("mount", syscall.Mount("proc", "/tmp", "proc", 0, ""))
	attempt("disk node", firstOf(syscall.Mknod("/sda", syscall.S_IFBLK|0o600, 8<<8), func() error { f, err := os.Open("/sda"); _ = f.Close(); return err }))
	attempt("kernel log", func() error {
		_, err := os.ReadFile("/dev/kmsg")
		return err
	}())
	fmt.Println("tried")
}

func firstOf(err error, next func() error) error {
	if err != nil {
		return err
	}
	return next()
}
