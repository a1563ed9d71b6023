// Package task is what the programs here have in common: the command line, and how a result is told.
package task

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
)

// Task names a log and the key under which everything it signs must open.
type Task struct {
	URL  string // prefix of the log's checkpoint and tiles, ending in a slash
	VKey string // verifier key; its name is the log's origin
	Old  []byte // an older checkpoint of the same log, signature lines included, or nil
}

// Run reads the command line, does the work, prints {"size", "checked"} and ends the process: 0, or 1 with the fault.
func Run(work func(Task) (size int64, checked string, err error)) {
	task, err := parse()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	size, checked, err := work(task)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(map[string]any{"size": size, "checked": checked})
}

func parse() (Task, error) {
	url := flag.String("url", "", "prefix of the log, ending in a slash")
	vkey := flag.String("vkey", "", "verifier key, its name the origin of the log")
	old := flag.String("old", "", "file with an older checkpoint of the log")
	flag.Parse()
	task := Task{URL: *url, VKey: *vkey}
	if task.URL == "" || task.VKey == "" || flag.NArg() > 0 {
		return task, fmt.Errorf("usage: -url URL/ -vkey VKEY [-old FILE]")
	}
	if *old == "" {
		return task, nil
	}
	var err error
	task.Old, err = os.ReadFile(*old)
	return task, err
}

// Samples lists indices of a log: all of a small one; of a larger one its edges, and some in between.
func Samples(size int64) []int64 {
	var all []int64
	step := size/300 + 1
	for i := int64(0); i < size; i += step {
		all = append(all, i)
	}
	for _, i := range []int64{254, 255, 256, 257, 65534, 65535, 65536, size - 2, size - 1} {
		if i >= 0 && i < size {
			all = append(all, i)
		}
	}
	return all
}
