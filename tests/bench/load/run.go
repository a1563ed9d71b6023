package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"
)

const (
	sysEpollPwait2 = 441 // of Linux 5.11, on every architecture: a timeout in nanoseconds
	mostBroken     = 10_000
	longest        = time.Second // between two looks at the clock
)

type run struct {
	job       Job
	address   netip.AddrPort
	templates []template
	conns     []*conn
	free      []*conn // connections without a request
	poll      int
	start     time.Time
	opens     time.Duration // the window that counts
	closes    time.Duration
	last      time.Duration // when the last answer came
	flying    int
	dueTotal  int64 // requests that were or are due, in an open loop
	report    Report
	latencies []time.Duration
	lateness  []time.Duration
	samples   *bufio.Writer
}

func newRun(job Job, templates []template) (*run, error) {
	address, err := netip.ParseAddrPort(job.Address)
	if err != nil || !address.Addr().Is4() {
		return nil, fmt.Errorf("%q is not an IPv4 address with a port", job.Address)
	}
	file, err := os.Create(job.Samples)
	if err != nil {
		return nil, err
	}
	poll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	r := &run{job: job, address: address, templates: templates, poll: poll}
	r.samples = bufio.NewWriterSize(file, 1<<20)
	r.opens = seconds(job.Warm)
	r.closes = r.opens + seconds(job.Seconds)
	r.report.Statuses = map[int]int64{}
	r.report.Next = job.First
	r.latencies = make([]time.Duration, 0, 1<<20)
	for number := range job.Clients {
		c := &conn{number: job.FirstClient + int64(number), template: -1}
		if err := r.open(c); err != nil {
			return nil, err
		}
		r.conns = append(r.conns, c)
		r.free = append(r.free, c)
	}
	return r, nil
}

func seconds(value float64) time.Duration {
	return time.Duration(value * float64(time.Second))
}

func (r *run) open(c *conn) error {
	if err := c.connect(r.address); err != nil {
		return fmt.Errorf("connect to %s: %w", r.address, err)
	}
	return r.watch(c, syscall.EPOLL_CTL_ADD, syscall.EPOLLIN)
}

func (r *run) watch(c *conn, operation int, events uint32) error {
	event := syscall.EpollEvent{Events: events, Fd: int32(c.number - r.job.FirstClient)}
	return syscall.EpollCtl(r.poll, operation, c.fd, &event)
}

// loop runs to the end: nothing more is due and nothing is under way, or the grace is over.
func (r *run) loop() error {
	events := make([]syscall.EpollEvent, 256)
	r.start = time.Now()
	for {
		now := time.Since(r.start)
		next, err := r.sendDue(now)
		if err != nil {
			return err
		}
		if (next < 0 && r.flying == 0) || now > r.closes+seconds(r.job.Grace) {
			break
		}
		if err := r.wait(events, next, now); err != nil {
			return err
		}
	}
	r.finish()
	return nil
}

// sendDue sends what is due and returns when the next request is, -1 for none, a long time for when a connection is free.
func (r *run) sendDue(now time.Duration) (time.Duration, error) {
	for {
		due := time.Since(r.start)
		if r.job.Rate == 0 {
			now = due
		} else {
			due = seconds(float64(r.dueTotal) / r.job.Rate)
		}
		if due >= r.closes || (r.job.Count > 0 && r.dueTotal >= r.job.Count) {
			return -1, nil
		}
		if due > now {
			return due, nil
		}
		if len(r.free) == 0 {
			return now + longest, nil
		}
		c := r.free[len(r.free)-1]
		r.free = r.free[:len(r.free)-1]
		r.dueTotal++
		if err := r.send(c, due); err != nil {
			return 0, err
		}
	}
}

func (r *run) send(c *conn, due time.Duration) error {
	which := int(r.report.Sent) % len(r.templates)
	template := &r.templates[which]
	if c.template != which {
		c.request = append(c.request[:0], template.bytes...)
		c.template = which
	}
	for _, stamp := range template.stamps {
		switch stamp.kind {
		case unique:
			stamp.write(c.request, r.report.Next)
			r.report.Next++
		case client:
			stamp.write(c.request, c.number)
		case sequence:
			c.sequence++
			stamp.write(c.request, c.sequence)
		}
	}
	c.due, c.unsent, c.answer, c.end, c.busy = due, c.request, c.answer[:0], 0, true
	r.report.Sent++
	r.flying++
	if r.job.Rate > 0 && c.free <= due && due >= r.opens {
		r.lateness = append(r.lateness, time.Since(r.start)-due)
	}
	if c.write() != nil {
		return r.broken(c)
	}
	if len(c.unsent) > 0 {
		return r.watch(c, syscall.EPOLL_CTL_MOD, syscall.EPOLLIN|syscall.EPOLLOUT)
	}
	return nil
}

func (r *run) wait(events []syscall.EpollEvent, next, now time.Duration) error {
	pause := longest
	if next >= 0 && next-now < pause {
		pause = max(0, next-now)
	}
	limit := syscall.NsecToTimespec(int64(pause))
	n, _, errno := syscall.RawSyscall6(sysEpollPwait2, uintptr(r.poll), uintptr(unsafe.Pointer(&events[0])),
		uintptr(len(events)), uintptr(unsafe.Pointer(&limit)), 0, 0)
	if errno == syscall.EINTR {
		return nil
	}
	if errno != 0 {
		return fmt.Errorf("epoll_pwait2: %w", errno)
	}
	for _, event := range events[:n] {
		if err := r.ready(r.conns[event.Fd], event.Events); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) ready(c *conn, events uint32) error {
	if events&syscall.EPOLLOUT != 0 {
		if c.write() != nil {
			return r.broken(c)
		}
		if len(c.unsent) == 0 {
			if err := r.watch(c, syscall.EPOLL_CTL_MOD, syscall.EPOLLIN); err != nil {
				return err
			}
		}
	}
	if events&^syscall.EPOLLOUT == 0 {
		return nil
	}
	complete, err := c.read()
	if err != nil {
		return r.broken(c)
	}
	if !complete {
		return nil
	}
	if !c.busy || len(c.unsent) > 0 {
		return r.broken(c) // an answer to nothing
	}
	if err := r.answered(c); err != nil || !c.closing {
		return err
	}
	return r.reopen(c)
}

func (r *run) answered(c *conn) error {
	now := time.Since(r.start)
	r.last = now
	r.flying--
	r.report.Statuses[c.status]++
	c.busy, c.free = false, now
	r.free = append(r.free, c)
	if c.status != r.job.Want {
		if r.report.Refusal == "" {
			r.report.Refusal = string(c.answer[:min(len(c.answer), 2000)])
		}
		return nil
	}
	r.report.Answered++
	r.report.Completed += r.share(c.due, now)
	if c.due < r.opens {
		return nil
	}
	r.latencies = append(r.latencies, now-c.due)
	if int64(len(r.latencies))%r.job.SampleEvery != 1%r.job.SampleEvery {
		return nil
	}
	return r.sample(c)
}

// share is how much of an answer counts for the window.
func (r *run) share(due, now time.Duration) float64 {
	if r.job.Rate > 0 || now == due {
		if now >= r.opens && now < r.closes {
			return 1
		}
		return 0
	}
	return float64(max(0, min(now, r.closes)-max(due, r.opens))) / float64(now-due)
}

func (r *run) sample(c *conn) error {
	for _, part := range [][]byte{c.request, c.answer[c.body:]} {
		var length [4]byte
		binary.LittleEndian.PutUint32(length[:], uint32(len(part)))
		if _, err := r.samples.Write(length[:]); err != nil {
			return err
		}
		if _, err := r.samples.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// broken counts a connection that ended too early, and opens it again.
func (r *run) broken(c *conn) error {
	if c.busy {
		r.report.Broken++
		r.flying--
		c.busy = false
		r.free = append(r.free, c)
	}
	if r.report.Broken > mostBroken {
		return fmt.Errorf("%d connections ended before their answers did", r.report.Broken)
	}
	return r.reopen(c)
}

func (r *run) reopen(c *conn) error {
	syscall.Close(c.fd)
	c.unsent, c.answer, c.end = nil, c.answer[:0], 0
	return r.open(c)
}

// finish counts what got no answer, by the least that its latency can be.
func (r *run) finish() {
	end := time.Since(r.start)
	for _, c := range r.conns {
		if c.busy && c.due >= r.opens {
			r.report.Unanswered++
			r.latencies = append(r.latencies, end-c.due)
		}
	}
	for r.job.Rate > 0 && (r.job.Count == 0 || r.dueTotal < r.job.Count) {
		due := seconds(float64(r.dueTotal) / r.job.Rate)
		if due >= r.closes {
			break
		}
		r.dueTotal++
		if due >= r.opens {
			r.report.Unanswered++
			r.latencies = append(r.latencies, end-due)
		}
	}
	r.report.Seconds = r.job.Seconds
	if r.job.Count > 0 && r.last < r.closes {
		r.report.Seconds = (r.last - r.opens).Seconds()
	}
}
