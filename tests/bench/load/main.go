// Load sends HTTP/1.1 requests over keep-alive connections and writes down when each was answered.
//
// One thread, epoll, no goroutine per connection: it shares the machine's cores with the server that it measures. Linux only.
//
//	load JOB.json > REPORT.json
//
// In a closed loop each connection sends when its last answer is complete. In an open loop requests are due at a fixed
// rate, whatever the server does, and a latency begins when the request was due, not when a connection was free for it.
// An answer of a closed loop that is under way at an edge of the window counts by the part of its time within: else some
// more or fewer whole rounds of a server that answers all at once would make a difference.
package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"
)

// Job is what to do. Times are in seconds.
type Job struct {
	Address     string  `json:"address"` // IPv4 address and port
	Clients     int     `json:"clients"` // connections
	Warm        float64 `json:"warm"`    // before the window that counts
	Seconds     float64 `json:"seconds"` // the window
	Grace       float64 `json:"grace"`   // for answers that are missing at its end
	Rate        float64 `json:"rate"`    // requests per second that are due; 0: closed loop
	Count       int64   `json:"count"`   // requests at most; 0: as many as the time allows
	Want        int     `json:"want"`    // the status that counts
	SampleEvery int64   `json:"sample_every"`
	First       int64   `json:"first"`        // of the numbers that make bodies unique
	FirstClient int64   `json:"first_client"` // of the numbers of connections
	Templates   string  `json:"templates"`    // file of requests, each after its length (uint32, little-endian)
	Latencies   string  `json:"latencies"`    // file to write: nanoseconds (int64), one for each counted answer
	Lateness    string  `json:"lateness"`     // file to write: nanoseconds by which the generator itself was late
	Samples     string  `json:"samples"`      // file to write: request and answer, each after its length
}

// Report is what came of it.
type Report struct {
	Seconds    float64       `json:"seconds"`    // of the window
	Completed  float64       `json:"completed"`  // wanted answers within it
	Answered   int64         `json:"answered"`   // wanted answers in all
	Sent       int64         `json:"sent"`       // requests in all
	Statuses   map[int]int64 `json:"statuses"`   // of all answers
	Broken     int64         `json:"broken"`     // connections that ended before the answer did
	Unanswered int64         `json:"unanswered"` // requests due in the window that nothing came of, in the grace neither
	Next       int64         `json:"next"`       // the first number that was not used
	CPU        float64       `json:"cpu"`        // seconds of CPU time of this program while it ran
	Refusal    string        `json:"refusal"`    // the first answer with another status
}

func main() {
	runtime.LockOSThread()
	// What it allocates while it runs are lists that grow.
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(1 << 30)
	if err := work(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func work(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var job Job
	if err := json.Unmarshal(text, &job); err != nil {
		return err
	}
	templates, err := readTemplates(job.Templates)
	if err != nil {
		return err
	}
	run, err := newRun(job, templates)
	if err != nil {
		return err
	}
	before := cpuSeconds()
	if err := run.loop(); err != nil {
		return err
	}
	run.report.CPU = cpuSeconds() - before
	if err := run.samples.Flush(); err != nil {
		return err
	}
	if err := writeTimes(job.Latencies, run.latencies); err != nil {
		return err
	}
	if err := writeTimes(job.Lateness, run.lateness); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(run.report)
}

func writeTimes(path string, times []time.Duration) error {
	data := make([]byte, 0, 8*len(times))
	for _, one := range times {
		data = binary.LittleEndian.AppendUint64(data, uint64(one))
	}
	return os.WriteFile(path, data, 0o600)
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}
