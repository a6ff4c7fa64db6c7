package chain

import (
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
)

// hold binds a socket to an address and does not listen on it. Linux lets
// others bind the same address and port, and one of them listen, as long as all
// have set SO_REUSEADDR, as package net does; and it gives such a port to nobody
// who asks for any.
func hold(at *net.TCPAddr) (*net.TCPAddr, io.Closer, error) {
	family, address := syscall.AF_INET, syscall.Sockaddr(&syscall.SockaddrInet4{Port: at.Port}) // all addresses
	if v4 := at.IP.To4(); v4 != nil {
		address = &syscall.SockaddrInet4{Port: at.Port, Addr: [4]byte(v4)}
	} else if at.IP != nil {
		family, address = syscall.AF_INET6, &syscall.SockaddrInet6{Port: at.Port, Addr: [16]byte(at.IP)}
	}
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socket", err)
	}
	held := os.NewFile(uintptr(fd), fmt.Sprint("port of ", at))
	if err = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err == nil {
		if err = syscall.Bind(fd, address); err == nil {
			address, err = syscall.Getsockname(fd)
		}
	}
	if err != nil {
		_ = held.Close()
		return nil, nil, os.NewSyscallError("bind", err)
	}
	got := *at
	switch a := address.(type) {
	case *syscall.SockaddrInet4:
		got.Port = a.Port
	case *syscall.SockaddrInet6:
		got.Port = a.Port
	}
	return &got, held, nil
}
