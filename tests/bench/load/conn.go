package main

import (
	"bytes"
	"errors"
	"net/netip"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// conn is one keep-alive connection, with one request under way at most.
type conn struct {
	fd       int
	number   int64 // of the connection
	sequence int64 // used last
	template int   // that `request` is a copy of, -1 at first
	request  []byte
	unsent   []byte // the rest of `request`
	answer   []byte // what came of the answer
	end      int    // length of the whole answer once its head is there, else 0
	body     int    // where the body begins
	status   int
	closing  bool // the server will close the connection
	busy     bool
	due      time.Duration // since the start: when its request was due
	free     time.Duration // since when it has none
}

var (
	errClosed = errors.New("the connection was closed")
	errHead   = errors.New("an answer that this program cannot read")
)

func (c *conn) connect(address netip.AddrPort) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	to := &syscall.SockaddrInet4{Port: int(address.Port()), Addr: address.Addr().As4()}
	for err = syscall.EINTR; err == syscall.EINTR; {
		err = syscall.Connect(fd, to)
	}
	if err == nil {
		err = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	}
	if err == nil {
		err = syscall.SetNonblock(fd, true)
	}
	if err != nil {
		syscall.Close(fd)
		return err
	}
	c.fd, c.closing = fd, false
	return nil
}

// write sends what it can of `unsent`; the rest waits until the socket takes more.
func (c *conn) write() error {
	for len(c.unsent) > 0 {
		n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(c.fd), uintptr(unsafe.Pointer(&c.unsent[0])), uintptr(len(c.unsent)))
		switch errno {
		case 0:
			c.unsent = c.unsent[n:]
		case syscall.EINTR:
		case syscall.EAGAIN:
			return nil
		default:
			return errno
		}
	}
	return nil
}

// read takes what is there; true once the answer is complete.
func (c *conn) read() (bool, error) {
	if cap(c.answer)-len(c.answer) < 2048 {
		larger := make([]byte, len(c.answer), max(2*cap(c.answer), c.end, 8192))
		copy(larger, c.answer)
		c.answer = larger
	}
	room := c.answer[len(c.answer):cap(c.answer)]
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(c.fd), uintptr(unsafe.Pointer(&room[0])), uintptr(len(room)))
	switch {
	case errno == syscall.EINTR || errno == syscall.EAGAIN:
		return false, nil
	case errno != 0:
		return false, errno
	case n == 0:
		return false, errClosed
	}
	c.answer = c.answer[:len(c.answer)+int(n)]
	if c.end == 0 {
		if err := c.head(); err != nil {
			return false, err
		}
	}
	if c.end == 0 || len(c.answer) < c.end {
		return false, nil
	}
	if len(c.answer) > c.end {
		return false, errHead
	}
	return true, nil
}

// head reads status and length, if the whole head is there.
func (c *conn) head() error {
	size := bytes.Index(c.answer, []byte("\r\n\r\n"))
	if size < 0 {
		return nil
	}
	lines := c.answer[:size]
	if len(lines) < 12 || !bytes.HasPrefix(lines, []byte("HTTP/1.1 ")) {
		return errHead
	}
	status, err := strconv.Atoi(string(lines[9:12]))
	if err != nil {
		return errHead
	}
	length := -1
	for len(lines) > 0 {
		var line []byte
		line, lines, _ = bytes.Cut(lines, []byte("\r\n"))
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case len(name) == 14 && bytes.EqualFold(name, []byte("content-length")):
			length, err = strconv.Atoi(string(bytes.TrimSpace(value)))
			if err != nil {
				return errHead
			}
		case len(name) == 10 && bytes.EqualFold(name, []byte("connection")):
			c.closing = bytes.EqualFold(bytes.TrimSpace(value), []byte("close"))
		}
	}
	if length < 0 {
		return errHead
	}
	c.status, c.body, c.end = status, size+4, size+4+length
	return nil
}
