// Tesseraclient follows a log with Tessera's client package: growth from an older head, every bundle, proofs built from tiles.
package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"golang.org/x/mod/sumdb/note"
	"k8s.io/klog/v2"

	"tlog.invalid/conformance/peers/task"
)

func main() {
	klog.LogToStderr(true)
	task.Run(check)
}

func check(t task.Task) (int64, string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	verifier, err := note.NewVerifier(t.VKey)
	if err != nil {
		return 0, "", err
	}
	prefix, err := url.Parse(t.URL)
	if err != nil {
		return 0, "", err
	}
	remote, err := client.NewHTTPFetcher(prefix, nil)
	if err != nil {
		return 0, "", err
	}
	consensus := client.UnilateralConsensus(remote.ReadCheckpoint)
	tracker, err := client.NewLogStateTracker(ctx, remote.ReadTile, t.Old, verifier, verifier.Name(), consensus)
	if err != nil {
		return 0, "", err
	}
	checked := "head, every bundle, inclusion proofs from tiles"
	if t.Old != nil {
		checked += fmt.Sprintf(", growth from %d", tracker.Latest().Size)
		if _, _, _, err := tracker.Update(ctx); err != nil {
			return 0, "", err
		}
	}
	head := tracker.Latest()
	if head.Size == 0 {
		return 0, "head", nil
	}
	leaves, err := readLeaves(ctx, remote, head.Size)
	if err != nil {
		return 0, "", err
	}
	builder, err := client.NewProofBuilder(ctx, head.Size, remote.ReadTile)
	if err != nil {
		return 0, "", err
	}
	for _, i := range task.Samples(int64(head.Size)) {
		path, err := builder.InclusionProof(ctx, uint64(i))
		if err != nil {
			return 0, "", err
		}
		if err := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(i), head.Size, leaves[i], path, head.Hash); err != nil {
			return 0, "", fmt.Errorf("inclusion of %d: %w", i, err)
		}
	}
	return int64(head.Size), checked, nil
}

// readLeaves streams all bundles and hashes their entries. A bundle that is too long or short is refused here.
func readLeaves(ctx context.Context, remote *client.HTTPFetcher, size uint64) ([][]byte, error) {
	var leaves [][]byte
	whole := func(context.Context) (uint64, error) { return size, nil }
	for bundle, err := range client.EntryBundles(ctx, 4, whole, remote.ReadEntryBundle, 0, size) {
		if err != nil {
			return nil, err
		}
		var entries api.EntryBundle
		if err := entries.UnmarshalText(bundle.Data); err != nil {
			return nil, err
		}
		if uint(len(entries.Entries)) < bundle.RangeInfo.First+bundle.RangeInfo.N {
			return nil, fmt.Errorf("bundle %d has %d entries", bundle.RangeInfo.Index, len(entries.Entries))
		}
		for _, entry := range entries.Entries[bundle.RangeInfo.First:][:bundle.RangeInfo.N] {
			leaves = append(leaves, rfc6962.DefaultHasher.HashLeaf(entry))
		}
	}
	if uint64(len(leaves)) != size {
		fmt.Fprintln(os.Stderr, "bundles end early")
		return nil, fmt.Errorf("%d entries of %d", len(leaves), size)
	}
	return leaves, nil
}
