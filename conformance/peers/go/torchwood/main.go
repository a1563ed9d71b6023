// Torchwood reads a log with filippo.io/torchwood's client: every entry in order, each authenticated by tiles, and single ones.
package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"tlog.invalid/conformance/peers/task"
)

func main() { task.Run(check) }

func check(t task.Task) (int64, string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	verifier, err := note.NewVerifier(t.VKey)
	if err != nil {
		return 0, "", err
	}
	fetcher, err := torchwood.NewTileFetcher(t.URL, torchwood.WithConcurrencyLimit(8))
	if err != nil {
		return 0, "", err
	}
	signed, err := fetcher.ReadEndpoint(ctx, "checkpoint")
	if err != nil {
		return 0, "", err
	}
	tree, err := open(signed, verifier)
	if err != nil {
		return 0, "", err
	}
	client, err := torchwood.NewClient(fetcher, torchwood.WithTimeout(30*time.Second))
	if err != nil {
		return 0, "", err
	}
	var read int64
	some := map[int64][]byte{}
	for _, i := range task.Samples(tree.N) {
		some[i] = nil
	}
	for i, entry := range client.AllEntries(ctx, tree, 0) {
		if i != read {
			return 0, "", fmt.Errorf("entry %d where %d was expected", i, read)
		}
		if _, wanted := some[i]; wanted {
			some[i] = bytes.Clone(entry)
		}
		read++
	}
	if err := client.Err(); err != nil {
		return 0, "", err
	}
	if read != tree.N {
		return 0, "", fmt.Errorf("%d entries of %d", read, tree.N)
	}
	asked := 0
	for i, expected := range some {
		if asked++; asked > 40 {
			break
		}
		entry, _, err := client.Entry(ctx, tree, i)
		if err != nil {
			return 0, "", err
		}
		if !bytes.Equal(entry, expected) {
			return 0, "", fmt.Errorf("entry %d alone is another than in the sequence", i)
		}
	}
	return tree.N, "head, every entry in order, single entries with proofs", nil
}

func open(signed []byte, verifier note.Verifier) (tlog.Tree, error) {
	opened, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("checkpoint: %w", err)
	}
	checkpoint, err := torchwood.ParseCheckpoint(opened.Text)
	if err != nil {
		return tlog.Tree{}, err
	}
	if checkpoint.Origin != verifier.Name() || checkpoint.Extension != "" {
		return tlog.Tree{}, fmt.Errorf("checkpoint of another log, or with extension lines: %q", opened.Text)
	}
	return checkpoint.Tree, nil
}
